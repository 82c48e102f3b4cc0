"""The probability of a decision that has no token of its own: any token but one.

Where no_think is a token and think is any other, P(think) = 1 − p(no_think), at that one place of the response. So the
decision's log-probability is log p in the mode with the token, and log(1 − p) in the other, whatever token came.
"""

from __future__ import annotations

import math

LARGEST = -1e-7  # the largest log p whose complement is still told from nothing in float32


def log_other(logprob: float) -> float:
    """log(1 − exp(logprob)), for a log-probability at most 0.

    >>> round(log_other(math.log(0.25)), 6) == round(math.log(0.75), 6)
    True
    """
    return math.log(-math.expm1(min(logprob, LARGEST)))
