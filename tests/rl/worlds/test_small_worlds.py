"""The small worlds, recomputed from their prompts alone."""

from __future__ import annotations

from collections import defaultdict

import pytest

from rewards.builtin.code_tests import code_tests
from rewards.registry import build_rewards
from rewards.score import score_groups
from rl.cold_start.examples import worked_pairs
from rl.config.read import load_config, parse_config
from rl.data import DataError, load_problems
from rl.training.controls import flip_rewards
from rl.worlds.funnel import CONTINUUM, CONTINUUM_TABLES, THIN, THIN_TABLES
from rl.worlds.machine import DIGIT_TABLES, DIGITS, FILLERS, TABLES
from rl.worlds.model import build_small_tokenizer, model_of
from rl.worlds.programs import TABLES as INDEX_TABLES
from rl.worlds.worlds import CHECKS, DEVELOPMENT, GROUPS, TEST, WORLDS, find_world, named_worlds
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol, layout
from rollout.types import Problem, Rollout, RolloutGroup

NAMES = sorted([*WORLDS, "pair"])


def draw(name, count=400, seed=3):
    world = find_world(f"tiny:{name}")
    return list(world.draw(count, seed, world.shares, frozenset()))


def walk(start, moves):
    """The states after each move."""
    states = [start]
    for move in moves:
        states.append(TABLES[move][states[-1]])
    return states[1:]


def moves_of(prompt):
    return [word for word in prompt.split() if word not in (*FILLERS, "=", "?") and not word.isdigit()]


@pytest.mark.parametrize("name", ["chain", "always"])
def test_a_chain_ends_where_its_moves_lead_and_its_level_counts_them(name):
    for made in draw(name):
        problem, moves = made.problem, moves_of(made.problem.prompt)
        states = walk(problem.prompt[0], moves)
        assert problem.answer == states[-1]
        assert problem.difficulty == str(len(moves))
        assert made.thinking.split() == [word for pair in zip(moves, states, strict=True) for word in pair]


def test_in_the_pair_world_both_digits_make_every_move_and_the_thought_writes_them_out():
    for made in draw("pair"):
        problem, digits = made.problem, made.problem.prompt.split()[0]
        words = [digits]
        for move in moves_of(problem.prompt):
            digits = DIGIT_TABLES[move][digits[0]] + DIGIT_TABLES[move][digits[1]]
            words += [move, digits]
        assert made.thinking.split() == words
        assert (problem.answer, problem.difficulty) == (digits, str(len(words) // 2))


def test_the_worked_examples_of_the_machine_are_what_its_tables_say():
    assert walk("3", "acb") == list("503")
    digits = ["37"]
    for move in "acb":
        digits.append("".join(DIGIT_TABLES[move][digit] for digit in digits[-1]))
    assert digits == ["37", "59", "81", "87"]


def test_in_the_pair_world_no_answer_is_a_good_guess_and_the_length_tells_nothing():
    problems = [made.problem for made in draw("pair", 4000)]
    for level in ("1", "3", "4"):
        answers = [p.answer for p in problems if p.difficulty == level]
        lengths = [len(p.prompt.split()) for p in problems if p.difficulty == level]
        assert max(answers.count(a) for a in set(answers)) / len(answers) < 0.04
        shares = [lengths.count(n) / len(lengths) for n in (5, 6, 7)]
        assert shares == pytest.approx([1 / 3] * 3, abs=0.08)


def test_in_the_kind_world_length_says_nothing_about_the_kind():
    lengths = defaultdict(list)
    for made in draw("kind", 2000):
        prompt, moves = made.problem.prompt, moves_of(made.problem.prompt)
        lengths[made.problem.difficulty].append(len(moves))
        if made.problem.difficulty == "void":
            assert prompt.startswith("= ")
            assert made.problem.answer == prompt.split()[1]
        else:
            assert made.problem.answer == walk(prompt[0], moves)[-1]
    shares = {kind: [counts.count(n) / len(counts) for n in (3, 4, 5, 6)] for kind, counts in lengths.items()}
    assert shares["void"] == pytest.approx(shares["moves"], abs=0.08)


def test_chain_lengths_of_all_levels_come_from_the_same_range():
    lengths = defaultdict(set)
    for made in draw("chain", 1500):
        lengths[made.problem.difficulty].add(len(made.problem.prompt.split()))
    assert set(map(frozenset, lengths.values())) == {frozenset({5, 6, 7})}


def test_where_thinking_never_helps_one_move_is_enough_or_nothing_is():
    levels = defaultdict(list)
    for made in draw("never", 1000):
        levels[made.problem.difficulty].append(made)
    assert set(levels) == {"1", "none"}
    right = [made.problem.answer == made.thinking.split()[-1] for made in levels["none"]]
    assert 0.05 < sum(right) / len(right) < 0.25  # by luck: one in eight


@pytest.mark.parametrize("name", ["walk", "rare", "flipped", "distilled", "shift", "long", "thinker"])
def test_a_walk_ends_where_its_moves_lead_and_its_thought_goes_through_every_place(name):
    for made in draw(name):
        start, *places = made.problem.prompt.split()
        states = [start]
        for place in places:
            states.append(TABLES[place][states[-1]] if place in TABLES else states[-1])
        assert made.problem.answer == states[-1]
        assert made.problem.difficulty.partition("-")[0] == str(len(moves_of(made.problem.prompt)))
        assert made.thinking.split() == [word for pair in zip(places, states[1:], strict=True) for word in pair]


def test_in_a_walk_neither_the_prompt_nor_the_thought_grows_with_the_level():
    lengths = defaultdict(set)
    for made in draw("walk", 1500):
        lengths[made.problem.difficulty].add((len(made.problem.prompt.split()), len(made.thinking.split())))
    assert set(map(frozenset, lengths.values())) == {frozenset({(5, 8), (6, 10), (7, 12)})}


@pytest.mark.parametrize(
    ("name", "levels", "tables"), [("continuum", CONTINUUM, CONTINUUM_TABLES), ("thin", THIN, THIN_TABLES)]
)
def test_a_funnels_level_is_the_tenths_that_thinking_gains_over_the_best_blind_guess(name, levels, tables):
    for letter, level in levels.items():
        images = [tables[letter][digit] for digit in DIGITS]
        assert max(map(images.count, images)) == 10 - level
        assert sum(images.count(image) == 1 for image in set(images)) == (level if level < 9 else 10)
    for made in draw(name):
        start, *moves, letter = made.problem.prompt.split()
        state, words = start, []
        for move in (*moves, letter):
            state = (tables[letter] if move == letter else DIGIT_TABLES[move])[state]
            words += [move, state]
        assert (made.problem.answer, made.thinking.split()) == (state, words)
        assert made.problem.difficulty == str(levels[letter])


def test_nothing_on_the_surface_of_the_continuum_orders_its_levels():
    problems = [made.problem for made in draw("continuum", 3000)]
    assert {len(p.prompt.split()) for p in problems} == {5}
    ranks = [level for _, level in sorted(CONTINUUM.items())]
    pairs = [(a, b) for i, a in enumerate(ranks) for b in ranks[i + 1 :]]
    assert 0.25 < sum(a < b for a, b in pairs) / len(pairs) < 0.75  # the alphabet does not
    assert sorted(find_world("tiny:continuum").shares) == list("0123456789")


def test_in_two_domains_the_same_cue_says_opposite_things_and_neither_half_of_it_anything():
    needs = defaultdict(list)
    for made in draw("domains", 1200):
        mark, start, *places = made.problem.prompt.split()
        cue = {place for place in places if place in FILLERS}
        assert len(cue) == 1
        counts = made.problem.difficulty == "moves"
        assert made.problem.answer == (walk(start, moves_of(made.problem.prompt))[-1] if counts else start)
        for key in (mark, *cue, (mark, *cue)):
            needs[key].append(counts)
    for half in ("=", "?", ".", "~"):
        assert 0.3 < sum(needs[half]) / len(needs[half]) < 0.5
    assert {key: set(values) for key, values in needs.items() if isinstance(key, tuple)} == {
        ("=", "."): {True},
        ("?", "."): {False},
        ("=", "~"): {False},
        ("?", "~"): {True},
    }


@pytest.mark.parametrize(("name", "trained", "tested"), [("shift", {1, 3}, {1, 2, 4}), ("longer", {1, 4}, {1, 3})])
def test_a_test_has_lengths_and_levels_that_training_never_shows(name, trained, tested, tmp_path):
    (tmp_path / "run.yaml").write_text("data: {train_size: 300, test_size: 300}")
    config = load_config(tmp_path / "run.yaml", find_world(f"tiny:{name}").overrides)
    train, test = load_problems(config, "train"), load_problems(config, "test")
    assert {len(p.prompt.split()) for p in train} == {5, 6, 7}
    assert {len(p.prompt.split()) for p in test} == {8, 9}
    assert {len(moves_of(p.prompt)) for p in train} == trained
    assert {len(moves_of(p.prompt)) for p in test} == tested
    assert {p.difficulty for p in test} <= set(config.cold_start.shares)  # the cold start has seen them all


def test_worlds_are_for_development_for_the_test_or_checks_and_named_in_one_place():
    assert (len(DEVELOPMENT), len(TEST), len(CHECKS)) == (5, 6, 5)
    assert len(WORLDS) == 16
    assert named_worlds(["checks", "walk", "never"]) == ["chain", "never", "always", "code", "thinker", "walk"]
    assert named_worlds(["all"]) == list(WORLDS)
    for wrong, meant in (("Development", "development"), ("shfit", "shift"), ("CHECKS", "checks")):
        with pytest.raises(UserError, match=f"no world '{wrong}'; did you mean '{meant}'"):
            named_worlds(["walk", wrong])
    assert set(GROUPS) == {"development", "test", "checks"}


def test_levels_come_in_the_shares_of_their_world():
    levels = [made.problem.difficulty for made in draw("rare", 2000)]
    assert levels.count("4") / len(levels) == pytest.approx(0.1, abs=0.02)


def test_a_program_makes_all_its_moves_at_once_and_its_test_accepts_nothing_else():
    for made in draw("code", 60):
        indices = list("0123")
        for move in moves_of(made.problem.prompt):
            indices = [INDEX_TABLES[move][index] for index in indices]
        function = eval(made.problem.answer.removeprefix("f="))
        arguments = made.problem.tests[0]["args"]
        assert function(*arguments) == made.problem.tests[0]["expected"] == [arguments[int(i)] for i in indices]


def test_the_code_reward_runs_the_programs():
    made = draw("code", 2)
    problem = made[0].problem
    for answer, worth in ((problem.answer, 1.0), ("f=lambda*x:[x[0],x[0],x[0],x[0]]", 0.0), ("f=lambda*x:[", 0.0)):
        assert code_tests(Rollout(problem, "no_think", False, "ok", (), (), answer_text=answer)) == worth


@pytest.mark.parametrize("name", NAMES)
def test_every_word_is_one_known_token_and_every_response_is_read_back(name):
    tokenizer = build_small_tokenizer()
    protocol = DecisionProtocol(tokenizer, layout("one_token"))
    for made in draw(name, 60):
        assert len(protocol.encode(made.problem.prompt)) == len(made.problem.prompt.split()) + (name == "pair")
        for mode in ("think", "no_think"):
            response = protocol.response(mode, made.problem.answer, made.thinking)
            assert tokenizer.unk_token_id not in response
            parsed = protocol.parse(response)
            assert (parsed.status, parsed.mode, parsed.answer_text) == ("ok", mode, made.problem.answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_world_runs_by_its_overrides_and_keeps_its_test_prompts_out_of_training(name, tmp_path):
    (tmp_path / "run.yaml").write_text("data: {train_size: 300, test_size: 100}\ncold_start: {problems: 200}")
    config = load_config(tmp_path / "run.yaml", find_world(f"tiny:{name}").overrides)
    train, test = load_problems(config, "train"), load_problems(config, "test")
    assert (len(train), len(test)) == (300, 100)
    held_out = {p.prompt for p in test}
    assert not held_out & {p.prompt for p in train}
    assert not held_out & {think.problem.prompt for think, _ in worked_pairs(config)}
    world = find_world(f"tiny:{name}")
    assert {p.difficulty for p in train} == {level for level, share in world.shares.items() if share}
    assert {p.difficulty for p in test} == {
        level for level, share in (world.test_shares or world.shares).items() if share
    }
    assert {*config.data.easy, *config.data.hard} <= set(find_world(f"tiny:{name}").levels)


def test_moves_are_distinct_permutations_that_change_something():
    for tables, states in ((TABLES, "01234567"), (DIGIT_TABLES, "0123456789"), (INDEX_TABLES, "0123")):
        images = ["".join(table[s] for s in states) for table in tables.values()]
        assert len(set(images)) == len(images)
        assert states not in images
        assert {"".join(sorted(image)) for image in images} == {states}


def test_a_level_with_no_prompt_left_ends_in_one_line():
    world, made = find_world("tiny:continuum"), []
    with pytest.raises(UserError, match="prompts in a row were there before"):
        made.extend(world.draw(10**6, 1, {"0": 1.0}, frozenset()))
    assert len({one.problem.prompt for one in made}) == len(made) == 1200


def test_an_unknown_world_names_the_nearest():
    with pytest.raises(UserError, match="no embedded world 'tiny:nver'; did you mean 'tiny:never'"):
        find_world("tiny:nver")


def test_levels_of_another_world_are_refused():
    config = parse_config({"data": {"train": "tiny:kind", "test": "tiny:kind", "shares": {"1": 1.0}}})
    with pytest.raises(DataError, match="allowed: shares of 0 or more for the levels void, moves"):
        load_problems(config, "train")


def test_the_size_of_a_small_model_is_in_its_path():
    tokenizer = build_small_tokenizer()
    model = model_of("tiny:32x1", tokenizer, 0)
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (32, 1)
    with pytest.raises(UserError, match=r"model.path is 'tiny:30x1'; allowed: tiny, or tiny:WIDTHxLAYERS"):
        model_of("tiny:30x1", tokenizer, 0)


# --- flipped rewards -------------------------------------------------------------------------------------------------


def answered(count):
    """Groups of ten right answers each."""
    groups = []
    for k in range(count):
        problem = Problem(f"p{k}", "3 a", answer="5")
        rollouts = [
            Rollout(problem, "no_think", False, "ok", (), (k, i), answer_text="5" if i < 9 else "6") for i in range(10)
        ]
        groups.append(RolloutGroup(problem, tuple(rollouts)))
    return groups


def scores(share, seed=0, count=100):
    rewards = flip_rewards(build_rewards([{"name": "math"}]), share, seed)
    return [r.scores["correct"] for g in score_groups(answered(count), rewards) for r in g.rollouts]


@pytest.mark.medium
def test_a_tenth_of_the_correctness_is_turned_round_the_same_way_each_time():
    true, flipped = scores(0.0), scores(0.1)
    assert true == [*[1.0] * 9, 0.0] * 100
    wrong = sum(a != b for a, b in zip(true, flipped, strict=True))
    assert 70 < wrong < 130
    assert flipped == scores(0.1)
    assert flipped != scores(0.1, seed=1)
    assert scores(1.0) == [*[0.0] * 9, 1.0] * 100
