"""What a report depends on: the files of a run folder that it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rl.files.finished import DIGEST, Work, has_mark
from rl.models.inputs import digest_of


def report_work(run_dir: str | Path) -> Work:
    """`report.html`; made anew whenever one of those files has changed."""
    run = Path(run_dir)
    names = ("config.json", "metrics.jsonl", "eval_before.json", "eval.json", "eval_untouched.json")
    settings = {f"{DIGEST}{name}": digest_of([run / name]) for name in names}
    settings[f"{DIGEST}rollouts"] = digest_of(run.glob("rollouts/*.jsonl"))
    earlier = (run / "stages" / "report.json",)
    work = Work("report", run / "report.html", settings, earlier=earlier)
    return replace(work, is_done=lambda: work.exists() and has_mark(work))
