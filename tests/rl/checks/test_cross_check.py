"""The rewards `math` and `math_verify` on the same recorded responses."""

import json
from importlib.util import find_spec

import pytest
from factories import make_problem
from small_runs import ROOT, script

from rl.checks.cross_check import Opinion, cross_check, cross_lines, recorded_rollouts
from rl.config.schema import ConfigError
from rollout.types import Rollout, rollout_to_json

installed = pytest.mark.skipif(find_spec("math_verify") is None, reason="math-verify is not installed")


def write_rollouts(folder, answers):
    rollouts = [
        Rollout(make_problem(name, answer=gold), "think", False, "ok", (1,), (2,), answer_text=text)
        for name, gold, text in answers
    ]
    (folder / "rollouts").mkdir()
    file = folder / "rollouts" / "step_000001.jsonl"
    file.write_text("".join(json.dumps(rollout_to_json(rollout)) + "\n" for rollout in rollouts))
    return file


def test_the_rollouts_of_a_run_a_folder_and_a_file_are_the_same(tmp_path):
    file = write_rollouts(tmp_path, [("a", "1", "One: 1"), ("b", "2", "Two: 2")])
    for place in (tmp_path, tmp_path / "rollouts", file):
        assert [rollout.problem.id for rollout in recorded_rollouts(place)] == ["a", "b"]


def test_a_place_without_rollouts_and_a_line_that_is_none_are_refused(tmp_path):
    with pytest.raises(ConfigError):
        list(recorded_rollouts(tmp_path))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"no": "rollout"}\n')
    with pytest.raises(ConfigError, match="line 1"):
        list(recorded_rollouts(bad))


def test_only_what_differs_is_shown():
    opinions = [
        Opinion("a", "1", "It is 1", "equal", "equal"),
        Opinion("b", "2", "It is 3", "different", "different"),
        Opinion("c", "x", "It is\n |x|", "equal", "different"),
        Opinion("d", "5", "5 m", "unparsable_answer", "equal"),
    ]
    counts, *shown = cross_lines(opinions)
    assert counts == "responses: 4; both right: 1; only math right: 1; only math_verify right: 1"
    assert [line.split(":")[0].strip() for line in shown] == ["c", "d"]
    assert "It is |x|" in shown[0]


@installed
def test_the_script_puts_both_judges_before_recorded_responses(tmp_path):
    write_rollouts(
        tmp_path,
        [
            ("same", r"\frac12", r"\boxed{0.5}"),
            ("wrong", "7", r"\boxed{8}"),
            ("cross", "5 m", r"\boxed{500\text{ cm}}"),
        ],
    )
    assert [o.problem for o in cross_check(tmp_path) if o.differs] == ["cross"]
    done = script("check_rewards.py", str(ROOT / "configs/demo.yaml"), "--cross-check", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "responses: 3; both right: 1; only math right: 1; only math_verify right: 0" in done.stdout


@pytest.mark.skipif(find_spec("math_verify") is not None, reason="math-verify is installed")
def test_without_the_package_the_script_says_how_to_install_it(tmp_path):
    write_rollouts(tmp_path, [("a", "1", "It is 1")])
    done = script("check_rewards.py", str(ROOT / "configs/demo.yaml"), "--cross-check", str(tmp_path))
    assert done.returncode == 2
    assert "step-srpo[math_verify]" in done.stderr
