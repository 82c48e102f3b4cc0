"""The symbolic math checker behind `rewards.math_answer`: extraction, parsing, comparison."""
