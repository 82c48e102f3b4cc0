"""The run report: complete runs, partial ones, hostile text, and the script's contract."""

import base64
import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from report_runs import PNG, TAGS, Page, evaluation, make_run, read

from rl.files.atomic import write_atomically
from rl.reports import browser
from rl.reports.browser import MOST_ROLLOUTS, sample
from rl.reports.compare import differing, names_of, write_comparison
from rl.reports.plots import PLOTS, THEMES, Inputs, render, running_mean, series
from rl.reports.report import bounded, write_report
from rl.reports.run_folder import ReportError
from rl.reports.sentence import sentence

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "<script>alert(1)</script>"
ONERROR = '"><img onerror=alert(1) src=x>'


@pytest.mark.medium
def test_a_complete_run_becomes_a_page_that_needs_nothing_else(tmp_path):
    shown = Page(write_report(make_run(tmp_path / "demo")).read_text(encoding="utf-8"))
    assert "Missing" not in shown.text
    assert "tiny-model" in shown.text
    assert "router: oracle1.000 → 1.0008.0 → 8.00.0% → 0.0%" in shown.text
    assert "auto1.000 → 1.00030.0 → 8.0100.0% → 0.0%" in shown.text
    assert "auto captures 100.0% of the tokens that the oracle router saves" in shown.text
    assert {tag for tag, _ in shown.tags} <= TAGS
    links = [v for _, a in shown.tags for k, v in a.items() if k in ("src", "srcset", "href")]
    assert len(links) == 12
    for link in links:
        assert base64.b64decode(link.removeprefix("data:image/png;base64,")).startswith(PNG)
    files = sorted((tmp_path / "demo" / "plots").iterdir())
    assert [file.name for file in files] == [
        "advantages.png",
        "modes.png",
        "probes.png",
        "rewards.png",
        "think_rate.png",
        "trade_off.png",
    ]
    assert all(file.read_bytes().startswith(PNG) for file in files)


def test_the_browser_has_every_rollout_with_its_parts_and_scores(tmp_path):
    shown = read(make_run(tmp_path, steps=12))
    assert len(shown.rollouts) == 12 * 4
    assert "48 of 48 recorded rollouts" in shown.text
    first, last = shown.rollouts[0], shown.rollouts[-1]
    assert (first["step"], first["mode"], first["outcome"], first["difficulty"]) == (1, "think", "right", "1")
    assert first["badges"] == ["step 1", "think", "forced", "ok", "right", "30 tokens", "level 1"]
    assert dict(first["parts"])["thinking"] == "1+2=3"
    assert dict(first["parts"])["scores"] == "correct 1, math 1, answer_reward 1, judge_reward 0.5"
    assert (last["step"], last["mode"], last["badges"][2]) == (12, "direct", "chosen")


def test_a_long_run_is_sampled_evenly_over_its_steps(tmp_path):
    make_run(tmp_path, steps=30)
    found = sample(tmp_path, [], most=24)
    steps = [entry["step"] for entry in json.loads(found.data)]
    assert (found.shown, found.total, MOST_ROLLOUTS) == (24, 120, 2000)
    assert steps == sorted(steps)
    assert max(b - a for a, b in pairwise(steps)) <= 2
    assert (steps[0], steps[-1]) == (1, 29)


@pytest.mark.parametrize("attack", [SCRIPT, ONERROR, f"</pre></style>{SCRIPT}", "<!--", "\ud800\x00\x1b[31m\u202e<b>"])
def test_no_markup_from_a_model_or_from_data_survives(tmp_path, attack):
    shown = read(make_run(tmp_path, levels=("1", attack), answer=attack, prompt=attack))
    assert {tag for tag, _ in shown.tags} <= TAGS
    assert not any(key.startswith("on") for _, attributes in shown.tags for key in attributes)
    assert "img" not in {tag for tag, _ in shown.tags}
    assert len(shown.scripts) == 2  # the data and the page's own
    assert not {"\x00", "\x1b", "\u202e"} & set(shown.text + json.dumps(shown.rollouts, ensure_ascii=False))
    # It is shown as what it is, in the table and in the browser.
    visible = attack if attack.isprintable() else "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}<b>"
    assert visible in shown.text
    assert visible in dict(shown.rollouts[0]["parts"])["answer"]
    assert "<" not in shown.scripts[0]


@pytest.mark.medium
def test_hostile_names_are_drawn_as_they_are():
    names = (r"$\frac{$", "_", SCRIPT, "\ud800\x00\x1b[31m\u202e", "9" * 5000)
    records = [{"step": 1, **{f"think_probability/{name}": 0.5 for name in names}}]
    assert render(PLOTS[0], THEMES["light"], Inputs(records, {}, {})).startswith(PNG)


def test_long_text_is_cut(tmp_path):
    shown = read(make_run(tmp_path, answer="x" * 100_000))
    assert dict(shown.rollouts[0]["parts"])["answer"] == "x" * 3999 + "…"
    assert bounded("a\nb\tc\rd") == "a\nb\tc\N{REPLACEMENT CHARACTER}d"
    assert len(bounded("x" * 5000)) == 1500


def test_the_first_sentence_says_what_it_thinks_on_what_that_costs_and_what_was_there_before(tmp_path):
    levels = ("1", "5")
    before, after = (json.loads(evaluation(levels, mode)) for mode in ("think", "no_think"))
    assert sentence(before, after) == (
        "Thinks on 0% of the hard and 0% of the easy problems; 27% of always-think's tokens at the same accuracy "
        "(+0.0 points [+0.0, +0.0], 2 problems). Before RL it was 100% and 100%."
    )
    assert sentence(after, after).endswith("Before RL it was 0% and 0%: RL changed little.")
    assert sentence({}, {}) == "No evaluation of the trained model: what it learned is not known."


@pytest.mark.parametrize(
    ("name", "notice"),
    [
        ("config.json", "config.json: no such file"),
        ("metrics.jsonl", "metrics.jsonl: no such file"),
        ("eval_before.json", "eval_before.json: no such file"),
        ("eval.json", "eval.json: no such file"),
        ("rollouts/step_000001.jsonl", "rollouts/: no recorded step"),
    ],
)
def test_a_missing_file_is_named_and_the_rest_is_shown(tmp_path, name, notice):
    (make_run(tmp_path, steps=1) / name).unlink()
    shown = read(tmp_path)
    assert notice in shown.text
    assert shown.text.count("no such file") + shown.text.count("no recorded step") == 1
    assert ("tiny-model" in shown.text) == (name != "config.json")
    assert ("judge_reward 0.5" in json.dumps(shown.rollouts)) == (not name.startswith("rollouts"))


def test_files_that_were_cut_short_are_named_and_what_is_left_is_shown(tmp_path):
    make_run(tmp_path, steps=2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "tokens": 1')
    with (tmp_path / "rollouts" / "step_000002.jsonl").open("a") as file:
        file.write('{"mode": "think"}\n{"problem": "x"')
    (tmp_path / "eval.json").write_text("")
    before = json.loads((tmp_path / "eval_before.json").read_text())
    del before["modes"]["auto"]
    (tmp_path / "eval_before.json").write_text(json.dumps(before))
    shown = read(tmp_path)
    assert "metrics.jsonl: 1 unreadable line(s) left out" in shown.text
    assert "step_000002.jsonl: 1 unreadable line(s) left out" in shown.text
    assert "eval.json: cut short or no JSON mapping" in shown.text
    assert "eval_before.json: no numbers for auto" in shown.text
    assert "forced direct1.000 → –8.0 → –" in shown.text
    assert "step 2" in shown.rollouts[-1]["badges"]


def test_a_plot_without_numbers_says_what_it_lacks_and_leaves_no_old_file(tmp_path):
    for plot in PLOTS:
        assert render(plot, THEMES["light"], Inputs([{"step": 1, "loss": 0.5}], {}, {"modes": {}})) is None
    write_atomically(tmp_path / "plots" / "think_rate.png", "of an earlier run")
    write_atomically(tmp_path / "config.json", "{}")
    shown = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "When it thinksMissing: think_probability/<level> in metrics.jsonl." in shown.text
    assert "Missing: modes or routers" in shown.text
    assert list((tmp_path / "plots").iterdir()) == []


@pytest.mark.medium
def test_runs_are_compared_on_one_page_that_escapes_what_they_hold(tmp_path):
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two", levels=("1", SCRIPT))
    config = json.loads((two / "config.json").read_text())
    config["trainer"]["learning_rate"], config["model"]["path"] = 0.5, SCRIPT
    (two / "config.json").write_text(json.dumps(config))
    shown = Page(write_comparison([one, two], tmp_path / "compare.html").read_text(encoding="utf-8"))
    assert "one1.000 [1.000, 1.000]8.0 [8.0, 8.0]" in shown.text
    assert "trainer.learning_rate1e-060.5" in shown.text
    assert SCRIPT in shown.text
    assert "script" not in {tag for tag, _ in shown.tags}
    with pytest.raises(ReportError, match="two or more"):
        write_comparison([one], tmp_path / "compare.html")
    with pytest.raises(ReportError, match="one twice"):
        write_comparison([one, two, tmp_path / "two" / ".." / "one"], tmp_path / "compare.html")


def test_settings_that_differ_are_shown_however_long_they_are():
    rewards = [{"name": f"reward_{k}", "weight": 1.0} for k in range(9)]
    other = [*rewards[:-1], {**rewards[-1], "weight": 5.0}]
    same = {"seed": 1, "trainer": {"steps": 3}}
    ((key, one, two),) = differing({"a": {**same, "rewards": rewards}, "b": {**same, "rewards": other}})
    assert (key, one != two, max(len(one), len(two)) <= 120) == ("rewards", True, True)


def test_each_compared_run_has_a_name_of_its_own():
    long = "qwen2.5-coder-1.5b-instruct-products-lr1e-5-seed"
    names = names_of([Path(f"{long}0"), Path(f"{long}1"), Path("a/seed0"), Path("b/seed0"), Path("b/seed0")])
    assert len(set(names)) == 5
    assert all(len(name) <= 44 for name in names)


def test_where_all_rollouts_are_too_much_for_a_page_fewer_of_every_step_are_shown(tmp_path, monkeypatch):
    make_run(tmp_path, steps=30)
    whole = sample(tmp_path, [])
    monkeypatch.setattr(browser, "MOST_BYTES", len(whole.data) // 4)
    part = sample(tmp_path, [])
    steps = [entry["step"] for entry in json.loads(part.data)]
    assert (whole.shown, part.total) == (120, 120)
    assert 20 <= part.shown <= 30
    assert (steps[0], max(b - a for a, b in pairwise(steps))) == (1, 2)
    assert steps[-1] >= 29


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [400, 1400])
def test_in_a_browser_the_rollouts_are_shown_and_hostile_text_stays_text(tmp_path, width):
    report = write_report(make_run(tmp_path, answer=f"{SCRIPT}</script><b id=broken>", steps=2))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},2000", "--dump-dom"]
    command = [CHROMIUM, *options, "--virtual-time-budget=4000", report.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    shown = Page(done.stdout)
    assert "1 of 8" in shown.text
    assert f"{SCRIPT}</script><b id=broken>" in shown.text
    assert not [attributes for _, attributes in shown.tags if attributes.get("id") == "broken"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"no run folder .*nowhere"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(ReportError, match="holds no run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_series_are_ordered_by_step_and_skip_what_is_no_number():
    records = [{"step": 2, "a": 1.0}, {"step": 1, "a": 3}, {"step": 3, "a": float("nan")}, {"step": 4, "a": "x"}, {}]
    assert series(records, "a") == ([1.0, 2.0], [3.0, 1.0])
    assert running_mean([0.0, 3.0, 6.0, 6.0], 3) == [1.5, 3.0, 5.0, 6.0]


@pytest.mark.medium
def test_the_script_writes_the_report_and_refuses_in_one_line(tmp_path):
    def script(*arguments):
        command = [sys.executable, str(ROOT / "scripts" / "report.py"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    write_atomically(tmp_path / "run" / "config.json", "{}")
    done = script(tmp_path / "run")
    assert (done.returncode, done.stdout) == (0, f"written: {tmp_path / 'run' / 'report.html'}\n")
    refused = script(tmp_path / "nowhere")
    assert refused.returncode == 2
    assert refused.stderr == f"error: no run folder '{tmp_path / 'nowhere'}' (looked in {tmp_path})\n"
    assert "RUN_DIR" in script("--help").stdout
    foreign = tmp_path / "mine.html"
    foreign.write_text("my own page")
    for options in (
        ("--out", tmp_path / "one.html"),
        ("--compare", "--out", foreign),
        ("--compare", "--out", tmp_path),
    ):
        assert script(tmp_path / "run", tmp_path / "run", *options).returncode == 2
    assert foreign.read_text() == "my own page"
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part") or path.name == "one.html"]
