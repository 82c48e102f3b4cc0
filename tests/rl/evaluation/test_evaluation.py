"""Evaluation tables and routers, every number by hand; then the whole path on the tiny model."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from factories import make_problem, make_protocol, make_rollout
from small_runs import save_policy, small_config

from rewards.plugin import RewardError
from rewards.registry import Reward, build_rewards
from rl.config.read import parse_config
from rl.config.schema import EvaluationConfig, RewardErrorsConfig
from rl.data import load_problems
from rl.evaluation.dial import dialled, pick_threshold
from rl.evaluation.evaluate import evaluate
from rl.evaluation.outcomes import Outcome, hidden_reasoning, mode_table, problem_row, summarize
from rl.files.row_store import RowStore
from rl.models.open import open_policy
from rl.statistics import dial
from rl.statistics import routers as rules
from rl.worlds.model import build_model
from rollout.engines.hf import HFEngine
from rollout.errors import UserError


def make_outcome(think, no_think, auto, level="1", length=3, probability=0.5, domain="math"):
    """`think`, `no_think`: (correct, tokens); `auto`: (mode, correct, tokens)."""
    problem = make_problem(difficulty=level, domain=domain)
    shared = {"problem": problem, "prompt_ids": tuple(range(length)), "switch_probs": (probability, 1 - probability)}
    rollouts = {
        "think": (make_rollout("think", correct=think[0], tokens=think[1], **shared),),
        "no_think": (make_rollout("no_think", correct=no_think[0], tokens=no_think[1], **shared),),
        "auto": (make_rollout(auto[0], correct=auto[1], tokens=auto[2], **shared),),
    }
    return Outcome(problem, rollouts)


def routers(outcomes):
    return rules.routers([problem_row(outcome) for outcome in outcomes])


def length_routes(outcomes):
    return rules.length_routes([problem_row(outcome) for outcome in outcomes])


@pytest.fixture
def outcomes():
    return [
        make_outcome((1, 20), (1, 5), ("no_think", 1, 5), "1", probability=0.1),
        make_outcome((1, 30), (0, 5), ("think", 1, 28), "4", probability=0.9),
        make_outcome((0, 40), (0, 5), ("no_think", 0, 6), "4", probability=0.4),
        make_outcome((1, 30), (1, 5), (None, 0, 9), "2", probability=0.5),
    ]


def test_the_mode_table_has_accuracy_and_tokens_of_each_mode(outcomes):
    table = mode_table(outcomes)
    assert (table["think"]["accuracy"], table["think"]["mean_tokens"]) == (0.75, 30.0)
    assert (table["no_think"]["accuracy"], table["no_think"]["mean_tokens"]) == (0.5, 5.0)
    assert table["think"]["tokens"] == {"judge": 1.0, "thinking": 0.0, "answer": 29.0}
    assert (table["auto"]["format_failures"], table["auto"]["truncated"]) == (0.25, 0.0)
    assert table["auto"]["accuracy"] == 0.5
    assert table["auto"]["mean_tokens"] == 12.0
    assert table["auto"]["think_rate"] == 0.25
    # the last one never decided, so its choice counts as even
    assert table["auto"]["think_probability"] == pytest.approx((0.1 + 0.9 + 0.4 + 0.5) / 4)
    assert table["n"] == 4


def test_an_empty_selection_has_an_empty_table():
    assert mode_table([]) == {}
    assert routers([]) == {}


def test_the_oracle_answers_directly_where_that_is_right_and_thinks_elsewhere(outcomes):
    oracle = routers(outcomes)["oracle"]
    assert oracle["accuracy"] == 0.75
    assert oracle["mean_tokens"] == (5 + 30 + 40 + 5) / 4
    assert oracle["think_rate"] == 0.5
    assert oracle["saving_captured"] == 1.0
    assert oracle["saving_captured_by_auto"] == pytest.approx((30 - 12) / (30 - 20))


def test_the_random_router_is_the_expectation_at_autos_think_rate(outcomes):
    random = routers(outcomes)["random"]
    assert random["accuracy"] == pytest.approx(0.25 * 0.75 + 0.75 * 0.5)
    assert random["mean_tokens"] == pytest.approx(0.25 * 30 + 0.75 * 5)
    assert random["saving_captured"] == pytest.approx((30 - 11.25) / 10)


def test_where_the_oracle_saves_nothing_the_captured_share_is_zero():
    table = routers([make_outcome((1, 20), (0, 5), ("think", 1, 20))])
    assert table["oracle"]["mean_tokens"] == 20
    assert table["oracle"]["saving_captured_by_auto"] == 0.0


def test_the_length_router_thinks_at_lengths_where_the_other_half_gained_by_it():
    short = [make_outcome((1, 20), (1, 5), ("think", 1, 20), length=4) for _ in range(4)]
    long = [make_outcome((1, 20), (0, 5), ("think", 1, 20), length=9) for _ in range(4)]
    assert length_routes([*short, *long]) == ["no_think"] * 4 + ["think"] * 4
    assert routers([*short, *long])["length"] == {
        "accuracy": 1.0,
        "mean_tokens": 12.5,
        "think_rate": 0.5,
        "saving_captured": 1.0,
    }


def test_the_length_router_is_judged_on_problems_it_was_not_fitted_on():
    # at one length, even positions gain by thinking and odd ones do not: each half is routed by the other's experience
    gains = [make_outcome((1, 20), (float(i % 2), 5), ("think", 1, 20), length=4) for i in range(6)]
    assert length_routes(gains) == ["no_think", "think"] * 3


def test_the_length_router_uses_the_overall_gain_at_a_length_it_has_not_seen():
    known = [make_outcome((1, 20), (0, 5), ("think", 1, 20), length=4) for _ in range(4)]
    assert length_routes([*known, make_outcome((1, 20), (1, 5), ("think", 1, 20), length=11)])[4] == "think"


def test_the_summary_splits_by_difficulty_domain_and_named_levels(outcomes):
    outcomes[0] = make_outcome((1, 20), (1, 5), ("no_think", 1, 5), "1", domain="code")
    summary = summarize(outcomes, easy=["1", "2"], hard=["4"])
    assert summary["n"] == 4
    assert {level: table["n"] for level, table in summary["by_difficulty"].items()} == {"1": 1, "2": 1, "4": 2}
    assert {domain: table["n"] for domain, table in summary["by_domain"].items()} == {"code": 1, "math": 3}
    assert (summary["easy"]["n"], summary["hard"]["n"]) == (2, 2)
    assert summary["hard"]["think"]["accuracy"] == 0.5
    assert summary["hard"]["auto"]["think_rate"] == 0.5
    assert set(summary["routers"]) == {"oracle", "random", "length"}
    assert set(summary["modes"]) == {"think", "no_think", "auto"}


def test_without_named_levels_easy_and_hard_are_empty(outcomes):
    summary = summarize(outcomes)
    assert (summary["easy"], summary["hard"]) == ({}, {})


def test_a_model_is_evaluated_in_three_modes_on_the_same_problems_in_batches():
    protocol = make_protocol("kat", judge_patience=1)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    config = parse_config({"rollout": {"max_new_tokens": 8}, "evaluation": {"batch": 6}, "data": {"easy": ["1"]}})
    problems = [make_problem(f"p{i}", f"1{i} + 34", f"4{i + 4}", domain="math", difficulty="1") for i in range(5)]
    rewards = build_rewards([{"name": "judge"}, {"name": "math"}])
    batches = []
    result = evaluate(config, problems, engine, protocol, rewards, on_rollouts=batches.append)
    assert [[(r.problem.id, r.forced) for r in batch] for batch in batches] == [
        [(f"p{i}", "think"), (f"p{i}", "no_think"), (f"p{i}", None)] for i in range(5)
    ]
    assert all([r.mode for r in batch][:2] == ["think", "no_think"] for batch in batches)
    assert (result["n"], result["easy"]["n"]) == (5, 5)
    tokens = sum(len(batch[0].completion_ids) for batch in batches) / 5
    assert result["modes"]["think"]["mean_tokens"] == tokens  # judge text, forced switch and end included
    again = evaluate(config, problems, engine, protocol, rewards)
    assert {**result, "seconds": 0} == {**again, "seconds": 0}  # greedy: nothing is drawn


def test_a_dialled_run_is_the_point_of_the_curve():
    protocol = make_protocol("kat", judge_patience=2)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    config = parse_config({"rollout": {"max_new_tokens": 8}, "protocol": {"judge_patience": 2}})
    problems = [make_problem(f"p{i}", f"{i}1 + 34", str(i), domain="math") for i in range(6)]
    rewards = build_rewards([{"name": "judge"}, {"name": "format"}, {"name": "math", "weight": 0.1}])
    rows = evaluate(config, problems, engine, protocol, rewards)["problems"]
    taus = dial.thresholds(rows)
    assert len(taus) > 3
    for tau in taus:
        run = dialled(config, problems, tau, engine, protocol, rewards)
        at = dial.point(rows, tau)
        assert sum(r.mode == "think" for r in run.values()) / 6 == at["think_rate"]
        assert sum(len(r.completion_ids) for r in run.values()) / 6 == pytest.approx(at["tokens"])
        assert sum(r.scores["correct"] for r in run.values()) / 6 == pytest.approx(at["accuracy"])


@pytest.mark.medium
def test_in_bfloat16_only_rows_at_the_threshold_may_differ_from_the_curve():
    protocol = make_protocol("kat", judge_patience=2)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2).to(torch.bfloat16)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    config = parse_config({"rollout": {"max_new_tokens": 9}, "protocol": {"judge_patience": 2}})
    problems = [make_problem(f"p{i}", f"{i}1 + 34", str(i), domain="math") for i in range(12)]
    rewards = build_rewards([{"name": "judge"}, {"name": "math"}])
    rows = evaluate(config, problems, engine, protocol, rewards)["problems"]
    in_threes = replace(config, evaluation=EvaluationConfig(batch=3))
    for tau in dial.thresholds(rows):
        run = dialled(in_threes, problems, tau, engine, protocol, rewards)
        far = [row for row in rows if abs(row["p_think"] - tau) > 1e-3]
        assert len(far) >= 6
        assert all((run[row["id"]].forced == "think") == (row["p_think"] >= tau) for row in far)


def test_several_samples_give_a_problem_its_means_and_pass_at_k():
    protocol = make_protocol("one_token")
    engine = HFEngine(
        build_model(protocol.tokenizer, 0, hidden=32, layers=2), protocol, protocol.tokenizer.pad_token_id
    )
    config = parse_config({"rollout": {"max_new_tokens": 6}, "evaluation": {"samples": 4}})
    problems = [make_problem(f"p{i}", f"{i}1 + 34", str(i)) for i in range(3)]
    seen = Counter()

    def odd(rollout):
        seen[rollout.problem.id, rollout.mode, rollout.forced] += 1
        return float(seen[rollout.problem.id, rollout.mode, rollout.forced] % 2)

    result = evaluate(config, problems, engine, protocol, [Reward("odd", "answer", 1.0, odd, correct=True)])
    assert (result["samples"], {seen[f"p{i}", "think", "think"] for i in range(3)}) == (4, {4})
    assert result["modes"]["think"]["accuracy"] == 0.5
    assert result["modes"]["think"]["pass@4"] == 1.0
    assert [row["think"][0] for row in result["problems"]] == [0.5, 0.5, 0.5]


def test_the_direct_answers_that_reason_are_counted_with_their_tokens():
    plain, hidden = make_rollout("no_think", tokens=4), make_rollout("no_think", tokens=12, answer_text="wait, 3+4=7")
    assert hidden_reasoning([plain, hidden, plain, plain]) == {"share": 0.25, "mean_tokens": 12.0}


@pytest.mark.parametrize("count", [0, 1, 2, 39])
def test_a_handful_of_problems_is_too_few_to_pick_a_threshold_on(count):
    rows = [{"p_think": 0.1 + i / 100, "think": [1.0, 20], "no_think": [1.0, 4]} for i in range(count)]
    with pytest.raises(UserError, match="40 or more"):
        pick_threshold(rows, "tokens <= 12")


@pytest.mark.parametrize("value", ["-0.1", "1.2", "high", "nan", None])
def test_a_threshold_outside_of_the_dial_is_refused(value):
    with pytest.raises(UserError, match=r"allowed: 0\.0"):
        dial.check_threshold(value)


def test_a_problem_that_a_reward_breaks_on_in_one_mode_is_left_out_of_all():
    protocol = make_protocol("kat", judge_patience=1)
    engine = HFEngine(
        build_model(protocol.tokenizer, 0, hidden=32, layers=2), protocol, protocol.tokenizer.pad_token_id
    )
    config = parse_config({"rollout": {"max_new_tokens": 8}, "reward_errors": {"policy": "drop", "max_share": 0.2}})
    problems = [make_problem(f"p{i}", f"1{i} + 34", f"4{i + 4}", domain="math", difficulty="1") for i in range(3)]

    def picky(rollout):
        return 1.0 / (rollout.problem.id != "p1" or rollout.mode != "think")

    reward = Reward("picky", "answer", 1.0, picky, correct=True)
    result = evaluate(config, problems, engine, protocol, [reward])
    assert (result["n"], result["broken"]) == (2, 1)
    assert result["modes"]["no_think"]["accuracy"] == 1.0
    with pytest.raises(RewardError, match=r"rewards broke on 1 of 9 rollouts; allowed: a share of 0\.1"):
        evaluate(replace(config, reward_errors=RewardErrorsConfig("drop", 0.1)), problems, engine, protocol, [reward])
    with pytest.raises(RewardError, match=r"reward 'picky' failed on problem 'p1', rollout 0: ZeroDivisionError"):
        evaluate(replace(config, reward_errors=RewardErrorsConfig()), problems, engine, protocol, [reward])


@pytest.mark.medium
def test_an_evaluation_that_was_killed_goes_on_and_comes_to_the_same(tmp_path):
    config = small_config(
        tmp_path / "run", save_policy(tmp_path / "policy"), data={"test_size": 6}, evaluation={"batch": 6}
    )
    problems, rewards = load_problems(config, "test"), build_rewards(config.rewards)
    policy = open_policy(config)
    engine, protocol = policy.engine, policy.protocol
    path = tmp_path / "rows.jsonl"
    whole = evaluate(config, problems, engine, protocol, rewards, store=RowStore(path, {"model": "m"}))
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    path.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    again = evaluate(config, problems, engine, protocol, rewards, store=RowStore(path, {"model": "m"}))
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    assert len(path.read_bytes().splitlines()) == 7  # the batch that was torn is answered as a whole
    seen, store = [], RowStore(path, {"model": "m"})
    last = evaluate(config, problems, None, protocol, rewards, seen.append, store)
    assert len(seen) == 6  # without an engine: nothing is answered again
    assert last["seconds"] > sum(row["seconds"] for row in store.rows.values()) > 0


def test_a_reward_that_asks_for_step_and_history_is_scored_outside_of_training_too():
    protocol = make_protocol("one_token")
    engine = HFEngine(
        build_model(protocol.tokenizer, 0, hidden=32, layers=2), protocol, protocol.tokenizer.pad_token_id
    )
    config = parse_config({"rollout": {"max_new_tokens": 4}})

    def late(rollout, step, history):
        return float(step == 0 and history is None)

    result = evaluate(config, [make_problem()], engine, protocol, [Reward("late", "answer", 1.0, late, correct=True)])
    assert result["modes"]["think"]["accuracy"] == 1.0
