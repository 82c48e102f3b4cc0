"""The dial beside a model: picked, kept, read again."""

import json
import runpy
from argparse import Namespace

import pytest
from small_runs import ROOT

from rl.evaluation.dial import load_dial, pick_threshold
from rollout.errors import UserError


def test_a_threshold_is_picked_on_one_half_and_reported_on_the_other(tmp_path):
    rows = [{"p_think": 0.1 + 0.001 * i, "think": [1.0, 20], "no_think": [1.0, 4]} for i in range(20)] + [
        {"p_think": 0.9 - 0.001 * i, "think": [1.0, 20], "no_think": [0.0, 4]} for i in range(20)
    ]
    found = pick_threshold(rows, "accuracy >= think - 0.005")
    assert 0.12 < found["tau"] < 0.88
    assert (found["picked_on"]["n"], found["held_out"]["n"]) == (20, 20)
    assert found["held_out"]["accuracy"][0] == found["held_out"]["always_think"]["accuracy"][0] == 1.0
    assert found["held_out"]["saving"] == pytest.approx(1.0)
    (tmp_path / "dial.json").write_text(json.dumps(found))
    assert load_dial(tmp_path) == found["tau"]
    assert load_dial(tmp_path / "elsewhere") is None
    for text in ("[]", "null", "{}", '{"tau": true}', '{"tau": 7}', "{"):
        (tmp_path / "dial.json").write_text(text)
        with pytest.raises(UserError, match=r"dial\.json.*; allowed: "):
            load_dial(tmp_path)


def test_a_picked_threshold_takes_the_place_of_an_older_one_which_is_kept(tmp_path, capsys):
    set_dial = runpy.run_path(str(ROOT / "scripts" / "evaluate.py"))["set_dial"]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "dial.json").write_text('{"tau": 0.3}')
    rows = [{"p_think": 0.1 + 0.01 * i, "think": [1.0, 20], "no_think": [1.0, 4]} for i in range(40)]
    options = Namespace(target="tokens <= 12", dial="", model=str(tmp_path / "model"))
    set_dial(options, {"problems": rows, "dial": {}})
    (old,) = (tmp_path / "old").rglob("dial.json")
    assert old.read_text() == '{"tau": 0.3}'
    assert str(old.parent.parent) in capsys.readouterr().out
    now = load_dial(tmp_path / "model")
    set_dial(options, {"problems": rows, "dial": {}})
    assert (load_dial(tmp_path / "model"), len(list((tmp_path / "old").iterdir()))) == (now, 1)
