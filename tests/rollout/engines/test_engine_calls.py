"""One row as calls, driven by hand with literal answers."""

import pytest
from factories import make_problem, make_protocol, word_tokenizer

from rollout.collect import make_rollout
from rollout.engines.base import Request, Sampling
from rollout.engines.server_calls import Call, Piece, Rows, check_length, row_program
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol, layout

KAT = make_protocol("kat", judge_patience=3)
EOS, THINK, DIRECT = KAT.eos_id, KAT.switch_ids["think"], KAT.switch_ids["no_think"]
CLOSE = KAT.forcing("think").after
PROMPT = (1, 2)


def piece(*ids, logprob=-1.0, width=2):
    """An answer whose watched log-probabilities at position i are −1−i, −2−i, …"""
    watched = tuple(tuple(-1.0 - i - w for w in range(width)) for i in range(len(ids)))
    return Piece(ids, (logprob,) * len(ids), watched)


def finish(program, pieces):
    with pytest.raises(StopIteration) as end:
        program.send(pieces)
    return end.value.value


def test_a_free_row_is_one_call_up_to_the_end_token():
    program = row_program(Request(PROMPT), KAT, Sampling(max_new_tokens=5), (7, 8))
    assert next(program) == [Call(PROMPT, 5, (DIRECT, THINK), (EOS,), (), 8)]
    row = finish(program, [piece(20, CLOSE, THINK, EOS)])
    assert (row.ids, row.sampled) == ((20, CLOSE, THINK, EOS), (1, 1, 1, 1))
    # The switch stands at position 2, where the watched log-probabilities are -3 and -4.
    assert row.switch_probs == pytest.approx({"no_think": 0.049787, "think": 0.018316}, abs=1e-6)


def test_a_forced_judge_text_runs_to_its_trigger_then_the_switch_is_written_and_scored():
    program = row_program(Request(PROMPT, "no_think"), KAT, Sampling(max_new_tokens=6), (7, 8))
    assert next(program) == [Call(PROMPT, 3, (DIRECT, THINK), (CLOSE,), (EOS, DIRECT, THINK), 7)]
    start = (*PROMPT, 20, CLOSE)
    assert program.send([piece(20, CLOSE)]) == [
        Call(start, 1, (DIRECT, THINK, DIRECT)),
        Call((*start, DIRECT), 3, (DIRECT, THINK), (EOS,), (), 8),
    ]
    row = finish(program, [piece(30, width=3), piece(21, EOS, logprob=-0.5)])
    assert row.ids == (20, CLOSE, DIRECT, 21, EOS)
    assert row.sampled == (1, 1, 0, 1, 1)
    assert row.logprobs == (-1.0, -1.0, -3.0, -0.5, -0.5)
    assert row.switch_probs == pytest.approx({"no_think": 0.367879, "think": 0.135335}, abs=1e-6)


def test_a_judge_text_that_runs_out_of_patience_is_closed_for_it():
    program = row_program(Request(PROMPT, "think"), KAT, Sampling(max_new_tokens=6), (7, 8))
    next(program)
    start = (*PROMPT, 20, 21, 22)
    score_close, score_switch, rest = program.send([piece(20, 21, 22)])
    assert (score_close.prompt_ids, score_close.watch_ids[-1]) == (start, CLOSE)
    assert (score_switch.prompt_ids, score_switch.watch_ids[-1]) == ((*start, CLOSE), THINK)
    assert (rest.prompt_ids, rest.max_tokens) == ((*start, CLOSE, THINK), 1)


def test_forced_tokens_beyond_the_limit_are_not_written():
    program = row_program(Request(PROMPT, "think"), KAT, Sampling(max_new_tokens=2), (7, 8))
    assert next(program)[0].max_tokens == 2
    row = finish(program, [piece(20, 21)])
    assert (row.ids, row.switch_probs) == ((20, 21), {})


def test_rows_of_a_group_share_the_calls_for_their_written_tokens_and_come_back_in_order():
    protocol = make_protocol("one_token")
    requests = [Request(PROMPT, "think"), Request(PROMPT), Request(PROMPT, "think")]
    rows = Rows(requests, protocol, Sampling(max_new_tokens=3), seed=1)
    switch = protocol.switch_ids["think"]
    first = rows.open()
    assert [call.max_tokens for call in first] == [1, 2, 3, 2]
    assert len({call.seed for call in first[1:]}) == 3
    score, rest_0, free, rest_2 = first
    for call, ids in ((rest_2, (9,)), (free, (8,)), (score, (5,)), (rest_0, (7,))):
        assert rows.close(call, piece(*ids, width=len(call.watch_ids))) == []
    assert [c.ids for c in rows.results()] == [(switch, 7), (8,), (switch, 9)]
    assert [c.logprobs[0] for c in rows.results()] == [-3.0, -1.0, -3.0]


def test_greedy_rows_of_one_prompt_are_one_call():
    rows = Rows([Request(PROMPT)] * 4, KAT, Sampling(temperature=0.0, max_new_tokens=2), seed=1)
    (call,) = rows.open()
    rows.close(call, piece(9, EOS))
    assert [c.ids for c in rows.results()] == [(9, EOS)] * 4


def test_a_forced_row_is_asked_for_no_more_than_its_mode_may_have():
    caps = Sampling(max_new_tokens=20, max_new_tokens_by_mode={"no_think": 2})
    program = row_program(Request(PROMPT, "no_think"), KAT, caps, (7, 8))
    next(program)
    assert program.send([piece(20, CLOSE)])[-1] == Call((*PROMPT, 20, CLOSE, DIRECT), 2, (DIRECT, THINK), (EOS,), (), 8)
    other = row_program(Request(PROMPT, "think"), KAT, caps, (7, 8))
    next(other)
    assert other.send([piece(20, CLOSE)])[-1].max_tokens == 17


def test_a_free_row_pauses_at_its_switch_to_learn_how_much_may_follow():
    caps = Sampling(max_new_tokens=20, max_new_tokens_by_mode={"no_think": 2})
    program = row_program(Request(PROMPT), KAT, caps, (7, 8))
    assert next(program) == [Call(PROMPT, 20, (DIRECT, THINK), (EOS, DIRECT, THINK), (), 7)]
    assert program.send([piece(20, CLOSE, DIRECT)]) == [
        Call((*PROMPT, 20, CLOSE, DIRECT), 2, (DIRECT, THINK), (EOS,), (), 8)
    ]
    row = finish(program, [piece(30, 31, logprob=-0.5)])
    assert (row.ids, row.sampled) == ((20, CLOSE, DIRECT, 30, 31), (1,) * 5)
    assert row.logprobs == (-1.0, -1.0, -1.0, -0.5, -0.5)
    assert row.switch_probs == pytest.approx({"no_think": 0.049787, "think": 0.018316}, abs=1e-6)


def test_a_free_row_that_ends_before_it_decides_is_one_call_with_caps_too():
    caps = Sampling(max_new_tokens=20, max_new_tokens_by_mode={"no_think": 2})
    program = row_program(Request(PROMPT), KAT, caps, (7, 8))
    next(program)
    assert finish(program, [piece(20, EOS)]).ids == (20, EOS)


def test_a_decision_after_the_pause_is_cut_by_its_cap():
    protocol = make_protocol("qwen3")
    (decision, direct, *_) = protocol.forcing("no_think").write
    caps = Sampling(max_new_tokens=20, max_new_tokens_by_mode={"no_think": 1})
    program = row_program(Request(PROMPT), protocol, caps, (7, 8))
    next(program)
    # The switch of this layout is a plain token without the decision before it.
    (rest,) = program.send([piece(direct)])
    assert rest.max_tokens == 19
    row = finish(program, [piece(decision, direct, 30, 31, 32)])
    assert row.ids == (direct, decision, direct, 30)
    assert len(row.logprobs) == len(row.sampled) == 4


def test_rows_are_handed_out_when_they_end_in_the_order_in_which_they_do():
    ended = []
    requests = [Request(PROMPT), Request((3,)), Request(PROMPT)]
    rows = Rows(requests, KAT, Sampling(max_new_tokens=2), 1, lambda i, completion: ended.append((i, completion.ids)))
    first, second, third = rows.open()
    rows.close(second, piece(9, EOS))
    assert ended == [(1, (9, EOS))]
    rows.close(third, piece(8, EOS))
    rows.close(first, piece(7, EOS))
    assert ended == [(1, (9, EOS)), (2, (8, EOS)), (0, (7, EOS))]


def test_a_row_longer_than_the_engine_is_refused_before_it_is_asked():
    check_length([Request(PROMPT)], 8, 10, "the cap")
    with pytest.raises(UserError, match="a prompt of 2 tokens and 9 new ones need 11; allowed: the cap, 10"):
        check_length([Request(PROMPT)], 9, 10, "the cap")


# --- any other token --------------------------------------------------------------------------------------------------

LONE = DecisionProtocol(word_tokenizer(["<think>", "</think>"]), layout("adaptthink"))
(OFF,) = LONE.watch_ids


def test_a_row_forced_into_any_other_token_draws_its_first_one_from_the_rest():
    program = row_program(Request(PROMPT, "think"), LONE, Sampling(max_new_tokens=5), (7, 8))
    assert next(program) == [Call(PROMPT, 1, (OFF,), (), (OFF, LONE.eos_id), 7)]
    assert program.send([piece(20, logprob=-0.7, width=1)]) == [Call((*PROMPT, 20), 4, (OFF,), (LONE.eos_id,), (), 8)]
    row = finish(program, [piece(21, OFF, LONE.eos_id, width=1)])
    assert (row.ids, row.sampled) == ((20, 21, OFF, LONE.eos_id), (1, 1, 1, 1))
    # log p of the off token at the decision is -1: P(think) = 1 - 1/e.
    assert row.switch_probs == pytest.approx({"think": 0.632121, "no_think": 0.367879}, abs=1e-6)
    rollout = make_rollout(make_problem(), PROMPT, row, "think", LONE)
    assert rollout.logprobs == pytest.approx((-0.458675, -1.0, -1.0, -1.0), abs=1e-6)
    assert (rollout.mode, rollout.switch_index, rollout.forced) == ("think", 0, "think")


def test_a_row_forced_to_the_token_has_it_written():
    program = row_program(Request(PROMPT, "no_think"), LONE, Sampling(max_new_tokens=5), (7, 8))
    calls = next(program)
    assert calls[0] == Call(PROMPT, 1, (OFF, OFF))
    row = finish(program, [piece(30, width=len(call.watch_ids)) for call in calls])
    assert (row.ids[0], row.sampled[0], row.logprobs[0]) == (OFF, 0, -2.0)


def test_a_free_row_with_caps_pauses_at_its_first_token_whatever_it_is():
    caps = Sampling(max_new_tokens=20, max_new_tokens_by_mode={"no_think": 2, "think": 9})
    for first, most in ((20, 9), (OFF, 2)):
        program = row_program(Request(PROMPT), LONE, caps, (7, 8))
        assert next(program) == [Call(PROMPT, 1, (OFF,), (), (), 7)]
        (rest,) = program.send([piece(first, width=1)])
        assert rest.max_tokens == most
