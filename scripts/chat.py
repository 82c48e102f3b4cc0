"""Talk with a model: its judge text, its thinking and its answer as they come.

python scripts/chat.py runs/demo                        # a run, a model folder, an exported model, a hub id
python scripts/chat.py MODEL --mode think               # or no_think; auto: the model decides
python scripts/chat.py MODEL --dial 0.3                 # it thinks iff P(think) is at least 0.3
python scripts/chat.py MODEL --budget 256               # a thought is closed after 256 tokens
python scripts/chat.py MODEL protocol.name=adaptthink   # a layout that no chat template shows (docs/own_model.md)

/think or /no_think in a message asks for that mode; /new begins anew; the end of the input ends. Lines between two
lines of three double quotes are one message.
"""

import argparse
import dataclasses
import sys
from typing import Any

from rl.cli import run_plain
from rl.config.read import overridden
from rl.config.schema import Config
from rl.serving.source import Source, find_source
from rl.statistics.dial import check_threshold
from rollout.errors import UserError


def main(options: argparse.Namespace) -> None:
    """Check the options, open the model, talk."""
    if options.max_new_tokens is not None and options.max_new_tokens < 1:
        raise UserError(f"--max-new-tokens is {options.max_new_tokens}; allowed: 1 or more")
    dial = check_threshold(options.dial) if options.dial not in ("", "off") else None
    if dial is not None and options.mode != "auto":
        raise UserError(
            f"--dial {options.dial} decides who thinks, and so does --mode {options.mode}; allowed: one of them"
        )
    source = find_source(options.model)
    source = dataclasses.replace(source, config=settings(source.config, options))
    talk(options, source, dial)


def settings(config: Config, options: argparse.Namespace) -> Config:
    """The model's settings with those of the command."""
    longest = [f"evaluation.max_new_tokens={options.max_new_tokens}"] if options.max_new_tokens is not None else []
    return overridden(config, ["rollout.engine=hf", "evaluation.budget=[]", *longest, *options.overrides])


def talk(options: argparse.Namespace, source: Source, dial: float | None) -> None:
    """Open the model and answer until the input ends."""
    from rl.evaluation.dial import load_dial
    from rl.models.open import open_policy
    from rl.serving.chat import Talk
    from rl.serving.screen import Screen, messages

    policy, screen = open_policy(source.config, source.model), Screen(sys.stdout)
    if not options.dial and options.mode == "auto":
        dial = load_dial(source.model)
    mode = None if options.mode == "auto" else options.mode
    conversation = Talk(policy, mode, dial, options.budget)
    for line in introduction(source, conversation):
        screen.line(line)
    for message in messages(sys.stdin, screen):
        if message.strip() == "/new":
            conversation.turns.clear()
            continue
        try:
            screen.tell(conversation.say(message, screen.show), conversation.sampling.max_new_tokens)
        except KeyboardInterrupt:
            screen.finish()
        except UserError as error:
            screen.finish()
            screen.line(f"error: {' '.join(str(error).split())}")


def introduction(source: Source, conversation: Any) -> list[str]:
    """What the conversation is held with."""
    lines = [f"{source.model}: {conversation.policy.protocol.spec.name}", *conversation.policy.protocol.notes]
    if conversation.dial is not None:
        lines.append(f"dial {conversation.dial:.4f}: it thinks iff P(think) is at least that")
    if not conversation.remembers:
        lines.append("the chat template of this model writes the last message alone: each stands by itself")
    return lines


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", metavar="MODEL", help="a run folder, a model folder, an exported model, a hub id")
    arguments.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings of the model")
    arguments.add_argument("--mode", default="auto", choices=("auto", "think", "no_think"), help="who decides")
    arguments.add_argument("--dial", default="", metavar="TAU", help="think iff P(think) is at least TAU; off: never")
    arguments.add_argument("--budget", type=int, metavar="N", help="close a thought after so many tokens")
    arguments.add_argument("--max-new-tokens", type=int, metavar="N", help="the most tokens of an answer")
    run_plain(main, arguments)
