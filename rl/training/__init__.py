"""The trainer: a round from prompts to advantages, the loss, checkpoints, metrics."""
