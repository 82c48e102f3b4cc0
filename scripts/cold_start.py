"""Fine-tune a model on both modes, then check that RL has a decision to learn. Goes on where it stopped.

python scripts/cold_start.py configs/demo.yaml run_dir=runs/mine
torchrun --nproc_per_node=2 scripts/cold_start.py configs/demo.yaml
python scripts/cold_start.py configs/demo.yaml --dry-run
"""

import sys
from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, refuse_pipelines, run
from rl.config.schema import Config, ConfigError
from rl.files.outputs import check_writable
from rl.models.location import check_model_path


def main(options: Namespace, config: Config) -> None:
    """Check, fine-tune, gate. The model goes to run_dir/cold_start/model; exit code 1 when it fails the gate."""
    check_writable(Path(config.run_dir), folder=True)
    refuse_pipelines(config)
    check_light(config)
    check_model_path(config.model.path)
    if options.manual_only and not config.cold_start.gears.manual_steps:
        raise ConfigError(
            "--manual-only stops after the manual gear, and cold_start.gears.manual_steps is 0; allowed: steps for it, "
            "or without --manual-only"
        )
    from rl.cold_start.gate import gate_problems
    from rl.cold_start.gears import cold_start
    from rl.cold_start.work import cold_start_work
    from rl.files.finished import is_finished
    from rl.models.open import open_protocol
    from rl.models.ranks import is_main

    if options.dry_run:
        from rl.cold_start.dry_run import dry_run

        dry_run(config, print if is_main() else lambda line: None)
        return
    gated = config.cold_start.gate.problems > 0 and not options.manual_only
    if gated and not is_finished(cold_start_work(config), config.resume):
        # Prompts that cannot be used are told before the fine-tuning, not after it.
        gate_problems(config, open_protocol(config))
    model = cold_start(config, manual_only=options.manual_only)
    if not is_main():
        return
    print(f"cold start: {model}")
    if gated:
        gate(config)


def gate(config: Config) -> None:
    """Print what the gate measured; end with exit code 1 when it does not open."""
    from rl.cold_start.gate import lines, read_probe, run_gate

    failures = run_gate(config)
    print("\n".join(lines(vars(read_probe(config)))))
    for failure in failures:
        print(f"gate failed: {failure}", file=sys.stderr)
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--dry-run", action="store_true", help="check everything, train nothing")
    arguments.add_argument("--manual-only", action="store_true", help="stop after the manual gear")
    run(main, arguments)
