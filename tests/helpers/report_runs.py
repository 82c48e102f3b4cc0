"""Run folders as a report finds them, and its page as a reader sees it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from rl.config.read import parse_config, save_config
from rl.evaluation.outcomes import Outcome, summarize
from rl.files.atomic import write_atomically
from rl.files.run_log import RunLog
from rl.reports.browser import sample
from rl.reports.report import page
from rl.reports.run_folder import read_run
from rl.training.metrics import step_metrics
from rollout.types import Problem, Rollout, RolloutGroup

PNG = b"\x89PNG\r\n\x1a\n"
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "div", "section", "ul", "li"),
    *("table", "tr", "th", "td", "small", "b", "p", "span", "figure", "picture", "source", "img", "figcaption"),
    *("article", "pre", "dl", "dt", "dd", "script", "label", "select", "option", "button"),
}


class Page(HTMLParser):
    """Every tag with its attributes, and the text of the page."""

    def __init__(self, source):
        super().__init__()
        self.tags = []
        self.text = ""
        self.scripts = []
        self.feed(source)
        self.rollouts = json.loads(self.scripts[0]) if self.scripts else []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts.append(data)
        else:
            self.text += data


def rollout(level, mode, *, forced=True, correct=1.0, answer="42", prompt="1 + 2", share=0.5):
    problem = Problem(f"p{level}", prompt, domain="math", answer="42", difficulty=level)
    return Rollout(
        problem=problem,
        mode=mode,
        forced=(mode or "think") if forced else None,
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
        values = step_metrics(groups, [0.0] * n, [0.0] * n, forced_share=1 / step, history_size=2)
        log.log(step, {**values, "probe/accuracy": 0.5, "probe/tokens": 9.0})
        log.save_rollouts(step, groups)
    write_atomically(folder / "eval_before.json", evaluation(levels, "think"))
    write_atomically(folder / "eval.json", evaluation(levels, "no_think"))
    return folder


def read(folder):
    """The page without its plots, which take most of the time."""
    run = read_run(folder)
    missing = list(run.missing)
    return Page(page(folder.name, run, sample(folder, missing), [], missing))
