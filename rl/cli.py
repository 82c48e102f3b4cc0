"""What every script shares: arguments, environment, and one-line errors.

A script is `CONFIG [section.key=value …]` plus its own options. Light checks (configuration, rewards, algorithm, data
files) run before torch is imported, so a mistake is told in a second.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.config.describe import keys
from rl.config.read import load_config
from rl.config.schema import Config, ConfigError
from rl.files.terminated import Terminated, command_that_goes_on, ended_by, ends_on_sigterm
from rl.models.ranks import is_main
from rollout.errors import UserError
from rollout.printable import printable

OF_PIPELINE = "STEP_SRPO_OF_PIPELINE"
"""Set for the stages of a pipeline, which holds their run folder."""

ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads yield: a busy neighbour then costs its share, not ten times that
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}

# What gloo, NCCL and torch's store say of a peer that they lost.
RANK_IS_GONE = (
    *("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "gloo/transport"),
    *("NCCL error", "ncclRemoteError", "Watchdog caught collective", "recvValue failed", "sendBytes failed"),
)


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser with the arguments that all scripts take."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("config", help="a YAML file, such as configs/demo.yaml")
    made.add_argument("overrides", nargs="*", metavar="section.key=value", help="override a value of the file")
    made.add_argument("--keys", nargs="?", const="", action=ShowKeys, metavar="SECTION", help="list the keys and exit")
    return made


class ShowKeys(argparse.Action):
    """`--keys [SECTION]`: every key with its default, what is allowed and what it means."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        rows = list(keys(Config))
        known = dict.fromkeys(row[0].split(".")[0] for row in rows)
        if values and values not in known:
            parser.error(f"--keys is {values!r}; allowed: {', '.join(known)}")
        shown = [row for row in rows if not values or row[0].split(".")[0] == values]
        try:
            for name, allowed, default, meaning in shown:
                print(f"{name} = {default!r}   [{allowed}]\n    {' '.join(meaning.split())}", flush=True)
        except BrokenPipeError:  # `--keys | head` has read what it wants
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        parser.exit()


def names_of(text: str) -> list[str]:
    """A comma-separated list. Raises `ArgumentTypeError` for an empty one, which would be no choice at all.

    >>> names_of("a, b,,a")
    ['a', 'b']
    """
    names = _listed(text)
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; allowed: A or A,B")
    return names


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


MOST_SEEDS = 10_000


def seeds_of(text: str) -> list[int]:
    """Whole numbers from 0 to below 2^32, and ranges of them, each once. Raises `ArgumentTypeError` for anything else.

    >>> seeds_of("0-2,7,01")
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in _listed(text):
        first, dash, last = part.partition("-")
        with contextlib.suppress(ValueError):
            ends = int(first), int(last) if dash else int(first)
            if ends[0] <= ends[1] < min(2**32, ends[0] + MOST_SEEDS):
                found += range(ends[0], ends[1] + 1)
                continue
        found = []
        break
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no seeds; allowed: 0-4 or 1,3, rising, at most {MOST_SEEDS:,} a range, below 2^32"
        )
    return list(dict.fromkeys(found))


def run(main: Callable[[argparse.Namespace, Config], None], arguments: argparse.ArgumentParser) -> None:
    """Parse, load the configuration, call `main`, with the errors of `run_plain`. SIGTERM ends with exit code 0 and the
    command that goes on, Ctrl-C with 130."""

    def configured(options: argparse.Namespace) -> None:
        try:
            with ends_on_sigterm():
                main(options, load_config(options.config, options.overrides))
        except Terminated:
            signal, code = ended_by()
            if is_main():
                print(f"ended by {signal}; what is finished stays. To go on: {command_that_goes_on()}", flush=True)
            raise SystemExit(code) from None

    run_plain(configured, arguments)


def run_plain(main: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser) -> None:
    """Parse, call `main`. A `UserError` becomes one line on stderr and exit code 2, and so does an error of the system
    or of a library that a user can cause: a full disk, a file in a folder's place, no memory, a missing package. What
    is finished stays. STEP_SRPO_TRACEBACK=1 shows where such an error came from."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Their deprecation notes are for whoever pins the versions, not for whoever runs a job.
    warnings.filterwarnings("ignore", category=FutureWarning)
    options = arguments.parse_intermixed_args()
    try:
        main(options)
    except KeyboardInterrupt:
        print("interrupted; what is finished stays, and the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        told = str(error) if isinstance(error, UserError) else outside_error(error)
        if not told or (os.environ.get("STEP_SRPO_TRACEBACK") and not isinstance(error, UserError)):
            raise
        # Names and texts of data stand in it, and of what a plug-in or a server said.
        print(f"error: {printable(' '.join(told.split()), 4000)}", file=sys.stderr)
        raise SystemExit(2) from None


def outside_error(error: Exception) -> str:
    """What a system or library error says to whoever can mend it; "" for one that nobody outside can have caused."""
    name, text = type(error).__name__, str(error)
    if name == "OutOfMemoryError" or isinstance(error, MemoryError):
        return f"out of memory: {text.partition('. ')[0]}; allowed: fewer rows at once (trainer.micro_batch, rollout)"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in ("rl", "rollout", "rewards"):
        return f"a package is missing: {text} (see pyproject.toml for what belongs to which option)"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror or text}: {error.filename or 'no file named'} ({name}); what is finished stays"
    if "LOCAL_RANK" in os.environ and any(mark in text for mark in RANK_IS_GONE):
        return (
            f"another rank is gone, or did not answer within trainer.rank_timeout; it says why itself ({name}); what "
            f"is finished stays. To go on: {command_that_goes_on()}"
        )
    if name == "SafetensorError" or any(mark in text for mark in ("PytorchStreamWriter", "inline_container")):
        return f"a file of weights could not be read or written: {text} ({name}); is the disk full?"
    return text if isinstance(error, OSError) else ""


def refuse_pipelines(config: Config) -> None:
    """Raises `ConfigError` while a pipeline that this process is no stage of works in the run folder."""
    file = Path(config.run_dir) / "stages" / "lock"
    if os.environ.get(OF_PIPELINE) or not file.is_file():
        return
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"a pipeline is at work in run_dir {config.run_dir!r}; allowed: another run_dir, or wait for it"
            ) from None


def check_light(config: Config, split: str = "train") -> None:
    """Rewards, algorithm, engine and data of a run, without torch; the sandbox takes its settings from here on. Raises
    `UserError`."""
    from rewards.registry import build_rewards
    from rewards.sandbox import configure
    from rl.algorithms.configured import check_judge, configured_algorithm
    from rl.checks.requirements import check_requirements
    from rl.curriculum.phases import load_training_problems
    from rl.data import load_problems
    from rl.models.engines import check_engine

    configure(config.sandbox.workers, config.sandbox.tier, config.sandbox.allow_weak, config.sandbox.packages)
    check_requirements(config)
    check_engine(config)
    build_rewards(config.rewards)
    check_judge(config, configured_algorithm(config))
    if not config.rollout.replay:
        load_training_problems(config) if split == "train" else load_problems(config, split)
