"""Forced think, forced direct and the policy's own choice, measured on the same problems."""
