"""Answers that a program shapes to hold or to break the judge. Each is compared in bounded time, and equals nothing."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.builtin.code_tests import extract_program
from rewards.sandbox import Limits, run_tests, wire
from rewards.sandbox.compare import equal_to, same, truth

EXPECTED = [
    None, True, 3, 0, 2.5, 1j, "x", b"x", [1, (2,)], (1, 2), {"1": 2}, {(1, (2, 3)): 4}, {1, (2, (3,))},
    {frozenset({1}), 2},
]  # fmt: skip
COLLIDING = [(2**61 - 1) * i for i in range(40_000)]  # ints of one hash


def nested(levels, tag="t"):
    """Tuples within tuples, as a program's frame holds them."""
    value = [tag, 1]
    for _ in range(levels):
        value = [tag, value]
    return value


HOSTILE = {
    "a fourth element": ["n", "Fraction", "1e999999999", "1"],
    "a fraction by its exponent": ["n", "1e999999999"],
    "a decimal of a huge exponent": ["n", "1E+999999"],
    "a decimal of many digits": ["n", "1" * 900_000],
    "a decimal that signals": ["n", "sNaN"],
    "a decimal that signals with an answer after it": ["n", "Decimal", "sNaN", "1"],
    "a fraction over nothing": ["q", "0x1", "0x0"],
    "a fraction of huge parts": ["q", "0x" + "f" * 400_000, "0x" + "e" * 400_000],
    "a zero with a tail of exponents": ["n", "0/" + "e" * 900_000],
    "a zero with a tail of zeros": ["n", "0." + "0" * 900_000 + "x"],
    "a huge int": ["i", "0x" + "f" * 900_000],
    "a malformed int": ["i", "_" * 900_000],
    "a complex of texts": ["c", "1", "2"],
    "nested tuples": nested(140),
    "nested tuples in a set": ["s", nested(140)],
    "wide nested tuples in a set": ["s", *[nested(100)] * 500],
    "a set of a huge tuple": ["s", ["t", *range(200_000)], 2],
    "members of one hash": ["s", *COLLIDING],
    "members of one hash within a member": ["s", ["fs", *COLLIDING], 2],
    "keys of one hash": ["d", *[[i, 1] for i in COLLIDING]],
    "keys of one hash within a key": ["d", [["fs", *COLLIDING], 4]],
    "equal keys": ["d", ["1", 2], ["1", 2]],
    "a pair of three": ["d", ["1", 2, 3]],
    "no pair": ["d", 1],
    "a tag and nothing": ["n"],
    "no tag": [],
    "a number for a tag": [1, 2],
    "a tag in a tag": [["t"], 1],
    "an unknown tag": ["zz", 1],
    "a type that is none": ["T", "no"],
    "an object": ["h", 0, "x"],
    "an exception class": ["x", 0, "E", "ValueError"],
    "a handle of text": ["h", "0", "x"],
}
CALL, ASSERT, CHECK = (
    {"call": "f", "args": [1], "expected": {"1": 2}},
    {"assert": "assert f(1) == {'1': 2}"},
    {"assert": "got = f(1)\nassert got == {'1': 2}"},
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_equals_nothing_in_bounded_time(name):
    begun = time.process_time()
    for expected in EXPECTED:
        assert not same(expected, HOSTILE[name])
        assert not same(expected, HOSTILE[name], 0.1) or expected in (3, 0, 2.5)
        assert not equal_to(expected)(HOSTILE[name])
    assert truth(HOSTILE[name]) in (True, False)
    assert time.process_time() - begun < 2.0  # 0.2 s; what these did before took from 18 s to for ever


LATE = "import os\nos.write(3, b''.join(len(b).to_bytes(4, 'big') + b for b in [BODY]))\ndef f(x): return 1"


@pytest.mark.parametrize(
    "body",
    [
        b'["v", ["n", "Fraction", "1e999999999", "1"]]', b'["v", ["n", "sNaN"]]', b"[" * 500_000, b'{"a":' * 100_000,
        b'["e", "X", ' + b"[" * 900 + b"]" * 900 + b', ["x", "ValueError"]]', b"1" * 900_000, b'["v"', b"null",
        b'["e", 1, 2, 3]', b'["e", "X", "x", ["x"]]', b'["v", ' + b"[" * 310 + b"]" * 310 + b"]", b'["v", "\\ud800"]',
    ],
    ids=lambda body: body[:20].decode(),
)  # fmt: skip
def test_a_frame_of_any_form_is_a_wrong_answer_and_the_next_program_is_judged(body, pool):
    code = LATE.replace("[BODY]", f"[b'[\"v\", null]', {body!r}]")
    begun = time.monotonic()
    for tests in ([CALL], [ASSERT], [CHECK]):
        assert run_tests(code, tests, Limits(cpu_s=2.0), pool).passed == [False]
    assert time.monotonic() - begun < 20.0


FORMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["0x1", "sNaN"]),
    lambda inner: st.lists(inner, max_size=4).map(list)
    | st.tuples(st.sampled_from(["l", "t", "s", "fs", "it", "d", "i", "n", "q", "c", "b", "T", "h", "x"]),
                st.lists(inner, max_size=4)).map(lambda pair: [pair[0], *pair[1]]),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(FORMS)
def test_no_form_of_an_answer_raises(raw):
    sent = wire.loads(wire.dumps(raw))
    for expected in EXPECTED:
        assert {type(same(expected, sent)), type(equal_to(expected)(sent)), type(truth(sent))} == {bool}
    try:
        wire.decode(sent, lambda form: form[0])
    except wire.WireError:
        return


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",\\:0e-tn ', max_size=60).map(str.encode))
def test_bytes_that_are_no_frame_are_refused_and_nothing_else(body):
    try:
        wire.loads(body)
    except wire.WireError:
        return


@pytest.mark.parametrize("text", ['"[" ' * 5000, '["' + "[" * 5000 + '"]', '["\\"' + "[" * 5000 + '\\\\"]'])
def test_brackets_inside_text_do_not_count_as_nesting(text):
    if text.startswith('["'):
        assert len(wire.loads(text.encode())[0]) >= 5000
    with pytest.raises(wire.WireError):
        wire.loads(b"[" + text.encode() + b"[" * 5000)


@pytest.mark.parametrize(
    "text",
    ["```" * 16_000, "```python\n" * 5_000, "```python\nx = 1\n" * 5_000, "``` " * 12_000 + "`",
     "```" + "a" * 50_000 + "`", " \t" * 50_000 + "```", "```\n" * 24_000, "```python" + " " * 50_000 + "`\n"],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_the_program_of_a_long_answer_is_found_in_linear_time(text):
    begun = time.process_time()
    extract_program(text)
    assert time.process_time() - begun < 0.5
