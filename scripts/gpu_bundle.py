"""A folder of the wheels that scripts/gpu_check.py needs on a machine that has torch and transformers and no index.

    make gpu-bundle                                      # for Python 3.12, into build/gpu-bundle-3.12
    make gpu-bundle GPU_PYTHON=3.11 HAVE=freeze.txt      # leaves out what `pip freeze` of that machine names

The folder is for x86-64 Linux and one Python: pyarrow and pandas are most of it and compiled for each. Without HAVE it
holds all that torch and transformers do not bring themselves, in any release from 2.11 and 5.17 on, with the newest
pyarrow that keeps it below 60 MiB; with HAVE the versions fit those of that machine. On that machine:

    python -m pip install --no-index --no-deps --find-links DIR -r DIR/requirements.txt

`--no-deps`, since the folder is complete and nothing that is there should be replaced. With `--target SITE` and
PYTHONPATH=SITE the Python of that machine stays as it is.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
THERE = ("torch>=2.11", "transformers>=5.17")
# Reports and W&B, which the check does not use.
UNUSED = {"torch", "transformers", "matplotlib", "wandb"}
# The newest are a fifth larger; TRL and datasets take these too.
SMALL = ("pyarrow<22", "pandas<3.1")
CUDA = ("nvidia-", "cuda-")
LIMIT = 60 * 2**20
# pip matches the tags of manylinux one by one.
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]


def names(lines: Iterable[str]) -> set[str]:
    """The names in a list of requirements, as indexes spell them.

    >>> sorted(names(["# a comment", "PyYAML==6.0.3", "hf_xet>=1 ; x == 'y'"]))
    ['hf-xet', 'pyyaml']
    """
    found = (re.match(r"\s*([A-Za-z0-9][\w.-]*)", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[1]).lower() for match in found if match}


def asked() -> list[str]:
    """The requirements of the project that the check uses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line for line in project["dependencies"] if not names([line]) & UNUSED]


def release_pins(freeze: str) -> list[str]:
    """The pins of `pip freeze` without local versions; lines of any other kind are left out.

    >>> release_pins("torch==2.11.0+cu130\\n-e git+x\\nnumpy==2.4.6")
    ['torch==2.11.0', 'numpy==2.4.6']
    """
    return re.findall(r"^([A-Za-z0-9][\w.-]*==[^\s+;@]+)", freeze, flags=re.MULTILINE)


class Resolver:
    """uv for one Python on x86-64 Linux. Only metadata is fetched."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder = python, folder

    def pins(self, wanted: Iterable[str], *options: str, **lists: Iterable[str]) -> list[str]:
        """What these requirements resolve to; `lists` are uv's options that take a file, such as `excludes`."""
        for option, lines in lists.items():
            file = self.folder / option
            file.write_text("\n".join(lines))
            options += (f"--{option}", str(file))
        where = [
            "--python-version",
            self.python,
            "--python-platform",
            "x86_64-manylinux_2_28",
            "--only-binary",
            ":all:",
        ]
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "-q", "-", *where, *options]
        command += ["--no-annotate", "--no-header"]
        done = subprocess.run(command, input="\n".join(wanted), stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
        return done.stdout.split("\n")[:-1]


def missing(resolver: Resolver, have: Path | None) -> list[str]:
    """The pins of what that machine lacks: it has what the oldest and the newest torch and transformers both bring."""
    oldest, newest = (resolver.pins(THERE, "--resolution", which) for which in ("lowest", "highest"))
    there = names(oldest) & names(newest)
    if have is None:
        return resolver.pins(asked(), constraints=SMALL, excludes=there)
    freeze = have.read_text(encoding="utf-8")
    found = resolver.pins([*THERE, *asked()], constraints=release_pins(freeze))
    there |= names(freeze.splitlines())
    return [pin for pin in found if not names([pin]) & there and not pin.startswith(CUDA)]


def main() -> None:
    """Resolve, download, write requirements.txt and say how to install it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what was in it is removed")
    parser.add_argument("--python", default="3.12", choices=("3.11", "3.12", "3.13"))
    parser.add_argument("--have", type=Path, help="what `pip freeze` says on that machine, or names alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        pins = missing(Resolver(options.python, Path(scratch)), options.have)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    (options.folder / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    where = ["--python-version", options.python, "--implementation", "cp", "--only-binary=:all:"]
    where += [part for platform in PLATFORMS for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *where, "-d", str(options.folder)]
    subprocess.run([*command, "-r", str(options.folder / "requirements.txt")], check=True)
    size = sum(file.stat().st_size for file in options.folder.iterdir())
    print(f"{options.folder}: {len(pins)} wheels for Python {options.python}, {size / 2**20:.1f} MiB")
    print(
        f"python -m pip install --no-index --no-deps --find-links DIR -r DIR/requirements.txt   # DIR: {options.folder}"
    )
    if size > LIMIT:
        raise SystemExit(f"error: the folder is larger than {LIMIT / 2**20:.0f} MiB; allowed: name more in --have")


if __name__ == "__main__":
    main()
