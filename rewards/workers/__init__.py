"""Killable worker processes for computations on untrusted input."""
