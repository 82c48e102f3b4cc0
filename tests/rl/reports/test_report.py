"""The run report: complete runs, partial ones, hostile text, and the script's contract."""

import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rl.config.read import parse_config, save_config
from rl.evaluation.outcomes import Outcome, summarize
from rl.files.atomic import write_atomically
from rl.files.run_log import RunLog
from rl.reports.plots import PLOTS, THEMES, Inputs, render, running_mean, series
from rl.reports.report import figure, page, text, write_report
from rl.reports.run_folder import ReportError, read_run, samples
from rl.training.metrics import step_metrics
from rollout.types import Problem, Rollout, RolloutGroup

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "<script>alert(1)</script>"
ONERROR = '"><img onerror=alert(1) src=x>'
PNG = b"\x89PNG\r\n\x1a\n"
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "div", "section", "ul", "li"),
    *("table", "tr", "th", "td", "small", "b", "p", "span", "figure", "picture", "source", "img", "figcaption"),
    *("article", "pre", "dl", "dt", "dd"),
}


class Page(HTMLParser):
    """Every tag with its attributes, and the text of the page."""

    def __init__(self, source):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def rollout(level, mode, *, forced=True, correct=1.0, answer="42", prompt="1 + 2", share=0.5):
    problem = Problem(f"p{level}", prompt, domain="math", answer="42", difficulty=level)
    return Rollout(
        problem=problem,
        mode=mode,
        forced=forced,
        status="ok" if mode else "no_switch",
        prompt_ids=(1,) * 4,
        completion_ids=(1,) * (30 if mode == "think" else 8),
        judge_text="hm",
        think_text="1+2=3" if mode == "think" else "",
        answer_text=answer,
        switch_probs={"think": share, "no_think": 1 - share},
        scores={"correct": correct, "math": correct, "answer_reward": correct, "judge_reward": 0.5},
    )


def evaluation(levels, auto):
    outcomes = []
    for level in levels:
        answers = {m: (rollout(level, m),) for m in ("think", "no_think")}
        outcomes.append(Outcome(answers["think"][0].problem, {**answers, "auto": answers[auto]}))
    return json.dumps(summarize(outcomes, easy=levels[:1], hard=levels[1:]))


def make_run(folder, levels=("1", "5"), answer="42", prompt="1 + 2", steps=3):
    config = parse_config({"run_dir": str(folder), "wandb": {"mode": "disabled"}, "model": {"path": "tiny-model"}})
    save_config(config, folder / "config.json")
    log = RunLog(config, 0)
    for step in range(1, steps + 1):
        groups = []
        for level in levels:
            pair = [rollout(level, m, forced=step == 1, answer=answer, prompt=prompt) for m in ("think", "no_think")]
            groups.append(RolloutGroup(pair[0].problem, tuple(pair)))
        n = 2 * len(levels)
        log.log(step, step_metrics(groups, [0.0] * n, [0.0] * n, forced_share=1 / step, history_size=2))
        log.save_rollouts(step, groups)
    write_atomically(folder / "eval_before.json", evaluation(levels, "think"))
    write_atomically(folder / "eval.json", evaluation(levels, "no_think"))
    return folder


def read(folder):
    """The page without its plots, which take most of the time."""
    return Page(page(folder.name, read_run(folder), []))


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
    assert len(links) == 8
    for link in links:
        assert base64.b64decode(link.removeprefix("data:image/png;base64,")).startswith(PNG)
    files = sorted((tmp_path / "demo" / "plots").iterdir())
    assert [file.name for file in files] == ["modes.png", "rewards.png", "think_rate.png", "trade_off.png"]
    assert all(file.read_bytes().startswith(PNG) for file in files)


def test_the_gallery_shows_the_first_and_the_last_recorded_step_in_both_modes(tmp_path):
    shown = read(make_run(tmp_path, steps=12))
    assert re.findall(r"step \d{6}", shown.text) == ["step 000001", "step 000012"]
    badges = re.findall(r"(think|direct)(forced|chosen)ok(\d+) tokenslevel (\d)", shown.text)
    assert badges == [
        ("think", "forced", "30", "1"),
        ("think", "forced", "30", "5"),
        ("direct", "forced", "8", "1"),
        ("direct", "forced", "8", "5"),
        ("think", "chosen", "30", "1"),
        ("think", "chosen", "30", "5"),
        ("direct", "chosen", "8", "1"),
        ("direct", "chosen", "8", "5"),
    ]
    assert "correct 1, math 1, answer_reward 1, judge_reward 0.5" in shown.text


def test_samples_prefer_free_choices_and_include_one_without_a_mode(tmp_path):
    path = tmp_path / "step_000001.jsonl"
    config = parse_config({"run_dir": str(tmp_path), "wandb": {"mode": "disabled"}})
    mixed = [rollout("2", "think"), rollout("3", "think", forced=False), rollout("10", None, forced=False)]
    RunLog(config, 0).save_rollouts(1, [RolloutGroup(r.problem, (r,)) for r in mixed])
    missing = []
    found = samples(tmp_path / "rollouts" / path.name, missing)
    assert [(r.problem.difficulty, r.mode) for r in found] == [("3", "think"), ("10", None)]
    assert missing == []


@pytest.mark.parametrize("attack", [SCRIPT, ONERROR, f"</pre></style>{SCRIPT}", "<!--", "\ud800\x00\x1b[31m\u202e<b>"])
def test_no_markup_from_a_model_or_from_data_survives(tmp_path, attack):
    shown = read(make_run(tmp_path, levels=("1", attack), answer=attack, prompt=attack))
    assert {tag for tag, _ in shown.tags} <= TAGS
    assert not any(key.startswith("on") for _, attributes in shown.tags for key in attributes)
    assert "img" not in {tag for tag, _ in shown.tags}
    assert not {"\x00", "\x1b", "\u202e"} & set(shown.text)
    # It is shown as what it is, in the table and in the gallery.
    visible = attack if attack.isprintable() else "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}<b>"
    assert shown.text.count(visible) >= 5


def test_hostile_names_are_drawn_as_they_are():
    names = (r"$\frac{$", "_", SCRIPT, "\ud800\x00\x1b[31m\u202e", "9" * 5000)
    records = [{"step": 1, **{f"think_probability/{name}": 0.5 for name in names}}]
    assert render(PLOTS[0], THEMES["light"], Inputs(records, {}, {})).startswith(PNG)


def test_long_text_is_cut(tmp_path):
    shown = read(make_run(tmp_path, answer="x" * 100_000))
    assert "x" * 1499 + "…" in shown.text
    assert "x" * 1500 not in shown.text
    assert text("a\nb\tc\rd", 10) == "a\nb\tc\N{REPLACEMENT CHARACTER}d"


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
    assert ("judge_reward 0.5" in shown.text) == (not name.startswith("rollouts"))


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
    assert "step_000002.jsonl: a record that is no rollout left out" in shown.text
    assert "eval.json: cut short or no JSON mapping" in shown.text
    assert "eval_before.json: no numbers for auto" in shown.text
    assert "forced direct1.000 → –8.0 → –" in shown.text
    assert "step 000002" in shown.text


def test_a_plot_without_numbers_says_what_it_lacks_and_leaves_no_old_file(tmp_path):
    for plot in PLOTS:
        assert render(plot, THEMES["light"], Inputs([{"step": 1, "loss": 0.5}], {}, {"modes": {}})) is None
    shown = Page(figure(PLOTS[0], {"light": None, "dark": None}))
    assert shown.text == "When it thinksMissing: think_probability/<level> in metrics.jsonl."
    write_atomically(tmp_path / "plots" / "think_rate.png", "of an earlier run")
    write_atomically(tmp_path / "config.json", "{}")
    assert "Missing: modes or routers" in write_report(tmp_path).read_text(encoding="utf-8")
    assert list((tmp_path / "plots").iterdir()) == []


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
