"""The stages against a real server: what is there is never asked again, what fails is told, budgets hold."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chat_server import chat_server
from small_runs import ROOT, environment, write_config

from rl.config.read import parse_config
from rl.distillation.formats import read_chains
from rl.distillation.generate import open_store, rewritten_thought
from rl.distillation.ledger import Ledger
from rl.distillation.stages import generate_stage, score_stage, select_stage
from rl.files.row_store import read_rows
from rollout.errors import UserError

QUESTIONS = [
    {"id": "a", "question": "3+4?", "answer": "7"},
    {"id": "b", "question": "5+5?", "answer": "10"},
    {"id": "c", "question": "Why?"},
]


def config(tmp_path, url, **distill):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    teacher = {"base_url": url, "max_tokens": 50, "timeout": 5, "retries": 1, "concurrency": 4}
    raw = {
        "run_dir": str(tmp_path / "run"),
        "rewards": [{"name": "math"}],
        "teachers": [{"name": name, "model": name, **teacher} for name in ("one", "two", "judge", "second")],
        "distill": {
            "questions": str(questions),
            "chains": 2,
            "writers": ["one"],
            "judges": ["judge"],
            "choose": {"method": "correct"},
            **distill,
        },
    }
    return parse_config(raw)


def teach(body, seen):
    """Knows sums; judges 3 and 4, and everything right; shortens."""
    text = body["messages"][-1]["content"]
    if "<score>" in text:
        score = 1 if "Is the solution" in text else 3 if "verbose" in text else 4
        return {"content": f"Hm.\n<score>{score}</score>"}
    if "shorter" in text:
        return {"content": "short", "reasoning": "let me see"}
    answer = {"3+4?": "7", "5+5?": "11"}.get(text, "because")
    return {"content": answer, "reasoning": f"I think about {text}"}


def rows(tmp_path, name):
    return read_rows(tmp_path / "run" / "distill" / name)


def quiet(line):
    """Say nothing."""


@pytest.mark.medium
def test_chains_are_written_scored_and_selected_with_who_said_what(tmp_path):
    with chat_server(teach) as (url, _):
        one = config(tmp_path, url)
        assert generate_stage(one, quiet)
        assert score_stage(one, None, quiet)
        select_stage(one, None, quiet)
    scored = {chain.name: chain for chain in read_chains(tmp_path / "run" / "distill" / "scored.jsonl")}
    assert sorted(scored) == ["a#one#0", "a#one#1", "b#one#0", "b#one#1", "c#one#0", "c#one#1"]
    assert (scored["a#one#0"].thought, scored["a#one#0"].solution) == ("I think about 3+4?", "7")
    assert [scored[f"{p}#one#0"].correctness for p in "abc"] == [1, 0, 1]
    assert scored["a#one#0"].judges == {
        "verbosity": "judge (teacher)",
        "difficulty": "judge (teacher)",
        "correctness": "rewards",
    }
    assert scored["c#one#0"].judges["correctness"] == "judge (teacher)"
    assert {(chain.verbosity, chain.difficulty) for chain in scored.values()} == {(3, 4)}
    selected = rows(tmp_path, "selected.jsonl")
    assert [row["id"] for row in selected] == ["a", "a:1", "c", "c:1"]
    assert selected[0]["label"]["think"]["shortest"]["thinking"] == "I think about 3+4?"
    assert selected[0]["answer"] == "7"
    assert (selected[2]["answer"], selected[2]["metadata"]["answer_by"]) == ("because", "one")
    assert (tmp_path / "run" / "distill" / "selected.png").read_bytes().startswith(b"\x89PNG")
    messages = [json.loads(x) for x in (tmp_path / "run/distill/selected.messages.jsonl").read_text().splitlines()]
    assert messages[0]["messages"][0] == {"role": "user", "content": "3+4?"}


@pytest.mark.medium
def test_what_is_there_is_never_asked_again_and_another_teacher_may_join(tmp_path):
    with chat_server(teach) as (url, seen):
        one = config(tmp_path, url)
        generate_stage(one, quiet)
        store = open_store(one, tmp_path / "run/distill/chains.jsonl")
        lines = store.path.read_bytes().splitlines(keepends=True)
        store.path.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # as a kill leaves it
        asked = len(seen.bodies)
        generate_stage(one, quiet)
        assert (asked, len(seen.bodies)) == (6, 9)
        generate_stage(config(tmp_path, url, writers=["one", "two"]), quiet)
        assert len(seen.bodies) == 15
        generate_stage(config(tmp_path, url, writers=["one"], chains=3), quiet)
        assert len(seen.bodies) == 18
    assert len({row["id"] for row in rows(tmp_path, "chains.jsonl")}) == len(rows(tmp_path, "chains.jsonl")) == 15


@pytest.mark.medium
def test_a_teacher_that_was_changed_under_its_name_is_refused(tmp_path):
    with chat_server(teach) as (url, _):
        one = config(tmp_path, url)
        generate_stage(one, quiet)
        warmer = dataclasses.replace(one.teachers[0], temperature=0.2)
        with pytest.raises(UserError, match="teacher one"):
            generate_stage(dataclasses.replace(one, teachers=[warmer, *one.teachers[1:]]), quiet)


@pytest.mark.medium
def test_a_failing_teacher_is_told_its_chains_are_asked_again_and_the_others_stay(tmp_path):
    told = []

    def answer(body, seen):
        if body["messages"][-1]["content"] == "5+5?" and len(seen.bodies) < 12:
            return {"content": "half", "cut": 2}
        return teach(body, seen)

    with chat_server(answer) as (url, seen):
        one = config(tmp_path, url)
        assert not generate_stage(one, told.append)
        assert any("failed: 2 calls" in line for line in told)
        assert len(rows(tmp_path, "chains.jsonl")) == 4
        seen.bodies += [{"messages": [{"content": ""}]}] * 12
        assert generate_stage(one, quiet)
    assert len(rows(tmp_path, "chains.jsonl")) == 6


@pytest.mark.medium
def test_a_budget_is_never_passed_and_counts_over_starts(tmp_path):
    told = []
    with chat_server(teach) as (url, seen):
        # Every call reports 3 + 5 tokens and may cost up to 4 + 16 + 50.
        one = config(tmp_path, url, budget_tokens=90)
        assert not generate_stage(one, told.append)
        first = len(seen.bodies)
        assert not generate_stage(one, quiet)
        assert len(seen.bodies) == first
        ledger = Ledger(one, tmp_path / "run" / "distill")
        assert ledger.budget.spent.tokens == 8 * first
    assert 0 < first < 6
    assert 8 * first + 70 > 90 >= 8 * (first - 1) + 70
    assert any("does not hold another call" in line for line in told)


@pytest.mark.medium
def test_endpoints_with_another_name_for_the_length_are_told_in_their_own(tmp_path):
    with chat_server(teach) as (url, seen):
        one = config(tmp_path, url, chains=1)
        other = dataclasses.replace(one.teachers[0], options={"max_completion_tokens": 9, "top_p": 0.5})
        generate_stage(dataclasses.replace(one, teachers=[other, *one.teachers[1:]]), quiet)
        assert seen.bodies[0]["max_completion_tokens"] == 9
        assert "max_tokens" not in seen.bodies[0]
        twice = dataclasses.replace(one.teachers[1], options={"max_tokens": 9})
        two = dataclasses.replace(config(tmp_path, url, writers=["two"]), teachers=[other, twice, *one.teachers[2:]])
        with pytest.raises(UserError, match=r"options\.max_tokens"):
            generate_stage(two, quiet)


@pytest.mark.medium
def test_money_is_counted_at_the_teachers_prices(tmp_path):
    with chat_server(teach) as (url, _):
        one = config(tmp_path, url)
        priced = dataclasses.replace(one.teachers[0], prompt_price=1.0, completion_price=4.0)
        one = dataclasses.replace(one, teachers=[priced, *one.teachers[1:]])
        generate_stage(one, quiet)
        spent = Ledger(one, tmp_path / "run" / "distill").budget.spent
    assert spent.tokens == 6 * 8
    assert spent.money == pytest.approx(6 * (3 * 1.0 + 5 * 4.0) / 1e6)
    # A teacher that is taken out has been paid all the same; what it cost is not known.
    renamed = dataclasses.replace(one, teachers=[dataclasses.replace(priced, name="new"), *one.teachers[1:]])
    ledger, told = Ledger(renamed, tmp_path / "run" / "distill"), []
    assert (ledger.budget.spent.tokens, ledger.budget.spent.money) == (6 * 8, 0)
    ledger.tell(told.append)
    assert any(line.startswith("6 calls were of teachers that teachers names no more") for line in told)


@pytest.mark.medium
def test_a_chain_is_rewritten_with_its_solution_kept(tmp_path):
    with chat_server(teach) as (url, seen):
        one = config(tmp_path, url, rewrite=["long_to_short"], rewriter="two", chains=1)
        generate_stage(one, quiet)
        generate_stage(one, quiet)
    assert len(seen.bodies) == 6
    chains = {chain.name: chain for chain in read_chains(tmp_path / "run/distill/chains.jsonl")}
    chain = chains["a#one#0~short"]
    assert (chain.thought, chain.solution, chain.teacher) == ("short", "7", "two")
    assert chain.rest["rewritten"] == "a#one#0"


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("3+4 is 7", "3+4 is 7"),
        ("<think>\nshorter?\n</think>\n\n3+4 is 7", "3+4 is 7"),
        ("<think>shorter?</think><|begin_of_thought|>3+4 is 7<|end_of_thought|>", "3+4 is 7"),
        ("<think>3+4 is 7</think>", "3+4 is 7"),
        ("", ""),
    ],
)
def test_what_a_rewriter_wrote_is_told_from_what_it_thought(text, thought):
    assert rewritten_thought(text) == thought


@pytest.mark.medium
def test_a_judge_in_prose_is_unknown_and_counted_and_two_are_compared(tmp_path):
    def answer(body, seen):
        if body["model"] == "judge" and "verbose" in body["messages"][-1]["content"]:
            return {"content": "Rather long, I would say: seven."}
        return teach(body, seen)

    with chat_server(answer) as (url, seen):
        one = config(tmp_path, url, judges=["judge", "second"])
        generate_stage(one, quiet)
        score_stage(one, None, quiet)
        asked = len(seen.bodies)
        score_stage(one, None, quiet)
        assert len(seen.bodies) == asked
    found = json.loads((tmp_path / "run" / "distill" / "scores.json").read_text())
    assert found["verbosity"] == {"-1": 6}
    assert found["difficulty"] == {"4": 6}
    assert found["agreement"]["verbosity"] == {"kappa": None, "pairs": 0, "left_out": 6}
    assert found["agreement"]["difficulty"]["pairs"] == 6


@pytest.mark.medium
def test_chains_of_two_files_with_one_name_have_judgements_of_their_own(tmp_path):
    def answer(body, seen):
        is_long = "long" in body["messages"][-1]["content"].split("thought:")[1]
        return {"content": "<score>9</score>"} if is_long else teach(body, seen)

    with chat_server(answer) as (url, _):
        one = config(tmp_path, url)
        for thought, level in (("short", 3), ("long", 9)):
            file = tmp_path / f"{thought}.json"
            file.write_text(json.dumps([{"instruction": "?", "output": f"<think>{thought}</think>7"}]))
            score_stage(one, file, quiet)
            (chain,) = read_chains(tmp_path / "run" / "distill" / "scored.jsonl")
            assert (chain.name, chain.verbosity) == ("0#0", level)


@pytest.mark.medium
def test_the_key_is_in_no_file_and_no_line(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    told = []

    def answer(body, seen):
        return {"raw": b'data: {"error": "key sk-secret is over its limit"}\n\n'}

    with chat_server(answer) as (url, seen):
        assert not generate_stage(config(tmp_path, url), told.append)
        assert seen.keys[0] == "Bearer sk-secret"
    files = [path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file()]
    assert any(b"over its limit" in text for text in files)
    assert not [text for text in [*files, "\n".join(told).encode()] if b"sk-secret" in text]


@pytest.mark.medium
def test_a_selection_without_scores_or_labels_says_what_it_needs(tmp_path):
    with chat_server(teach) as (url, _):
        one = config(tmp_path, url)
        with pytest.raises(UserError, match="--stage score first"):
            select_stage(one, None, quiet)
        generate_stage(one, quiet)
        with pytest.raises(UserError, match="keeps none of 6 chains"):
            select_stage(one, tmp_path / "run/distill/chains.jsonl", quiet)
        choose = dataclasses.replace(one.distill.choose, method="student")
        by_student = dataclasses.replace(one, distill=dataclasses.replace(one.distill, choose=choose))
        with pytest.raises(UserError, match="label_necessity"):
            select_stage(by_student, tmp_path / "run/distill/chains.jsonl", quiet)


def test_an_empty_answer_is_paid_kept_and_wrong(tmp_path):
    with chat_server(lambda body, seen: {"content": "", "reasoning": ""}) as (url, _):
        one = config(tmp_path, url, judges=[])
        assert generate_stage(one, quiet)
        score_stage(one, None, quiet)
    found = json.loads((tmp_path / "run" / "distill" / "scores.json").read_text())
    assert found["correctness"] == {"-1": 2, "0": 4}


@pytest.mark.medium
def test_a_killed_stage_goes_on_and_pays_only_for_what_was_open(tmp_path):
    def slow(body, seen):
        return {**teach(body, seen), "sleep": 0.3}

    with chat_server(slow) as (url, seen):
        raw = json.loads(json.dumps(dataclasses.asdict(config(tmp_path, url, chains=8))))
        command = [sys.executable, str(ROOT / "scripts/distill.py"), str(write_config(tmp_path / "c.json", raw))]
        command += ["--stage", "generate"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        chains = tmp_path / "run/distill/chains.jsonl"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (chains.is_file() and chains.read_bytes().count(b"\n") > 5):
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=False).returncode == 0
    assert len(rows(tmp_path, "chains.jsonl")) == 24
    assert 24 <= len(seen.bodies) <= 24 + 4
