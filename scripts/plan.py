"""Does a run fit into its GPUs, what to change if not, how long is a step: before anything is loaded.

python scripts/plan.py configs/qwen3-8b.yaml --gpus 8 --gpu-memory 80
python scripts/plan.py configs/qwen3-8b.yaml --gpus 8 --gpu-memory 80 --rollout-rate 2500 --update-rate 6000
python scripts/plan.py configs/demo.yaml --device cpu --gpu-memory 8 --measured runs/demo --json

Weights, gradients and optimizer are exact, from the model on torch's meta device; activations are what autograd saves,
counted at four small sizes; a bound is said to be one. Exit code 1 where it does not fit.
"""

import dataclasses
import json
from argparse import Namespace
from pathlib import Path

from rl.cli import parser, run
from rl.config.schema import Config, ConfigError, longest_response

MOST = 1_000_000


def main(options: Namespace, config: Config) -> None:
    """Plan and print."""

    from rl.planning.plan import GIB, make_plan, rendered
    from rl.planning.rates import Rates, measured_rates, step_time, unlike

    check(options)
    plan = make_plan(config, options.gpus, round(options.gpu_memory * GIB), options.device)
    rates, response = None, float(longest_response(config))
    if options.measured:
        rates, response = measured_rates(Path(options.measured), options.measured_gpus or 1)
        plan = dataclasses.replace(plan, notes=(*plan.notes, *unlike(config, Path(options.measured))))
    elif options.rollout_rate is not None:
        rates = Rates(options.rollout_rate, options.update_rate)
    if rates:
        response = options.response or response
        time = step_time(config, rates, options.gpus, response, options.server_gpus)
        told = f"times: responses of {response:.0f} tokens; {rates.rollout:,.0f} tokens a second and GPU decoded, "
        told += f"{rates.update:,.0f} updated"
        plan = dataclasses.replace(plan, time=time, notes=(*plan.notes, told))
    if options.json:
        print(json.dumps(plan.to_json(), indent=2))
    else:
        from rich.console import Console

        Console().print(rendered(plan), soft_wrap=True)
    if not plan.fits:
        raise SystemExit(1)


def check(options: Namespace) -> None:
    """Raises `ConfigError` for a number that no cluster has, and for options that say nothing or contradict."""
    for name in ("gpus", "gpu_memory", "rollout_rate", "update_rate", "response", "measured_gpus", "server_gpus"):
        value, least = getattr(options, name), "0" if name == "server_gpus" else "above 0"
        if value is not None and not (0 < value <= MOST or (value == 0 and name == "server_gpus")):
            raise ConfigError(f"--{name.replace('_', '-')} is {value:g}; allowed: {least}, at most {MOST:,}")
    if (options.rollout_rate is None) != (options.update_rate is None):
        raise ConfigError("--rollout-rate and --update-rate belong together; allowed: both, or --measured RUN_DIR")
    if options.measured and options.rollout_rate is not None:
        raise ConfigError("--measured and --rollout-rate both give the rates; allowed: one of them")
    if options.measured_gpus is not None and not options.measured:
        raise ConfigError(f"--measured-gpus is {options.measured_gpus} without --measured; allowed: with it")
    if not options.measured and options.rollout_rate is None and (options.response is not None or options.server_gpus):
        raise ConfigError("--response and --server-gpus are for times; allowed: with --measured, or with both rates")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--gpus", type=int, default=1, metavar="N", help="training GPUs, one rank each")
    arguments.add_argument("--gpu-memory", type=float, default=80, metavar="GIB", help="of one GPU")
    arguments.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="whose head and libraries count")
    arguments.add_argument("--rollout-rate", type=float, metavar="TOKENS", help="response tokens/s and GPU, decoding")
    arguments.add_argument("--update-rate", type=float, metavar="TOKENS", help="response tokens/s and GPU, updating")
    arguments.add_argument("--response", type=float, metavar="TOKENS", help="mean tokens of a response, for times")
    arguments.add_argument("--server-gpus", type=int, default=0, metavar="N", help="GPUs that decode, if other ones")
    arguments.add_argument("--measured", default="", metavar="RUN_DIR", help="take the rates from this run")
    arguments.add_argument("--measured-gpus", type=int, metavar="N", help="how many GPUs that run had (1)")
    arguments.add_argument("--json", action="store_true", help="the plan as JSON")
    run(main, arguments)
