"""The symbolic math checker behind `rewards.builtin.math_answer`: extraction, parsing, comparison."""
