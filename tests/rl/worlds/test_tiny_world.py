"""The embedded world, recomputed from its prompts alone, and its model and tokenizer."""

import re
from collections import defaultdict

import pytest
from factories import make_protocol

from rewards.builtin.math_answer import verify
from rl.worlds.model import DECISION_TOKENS, JUDGE_WORDS, build_model, build_tokenizer
from rl.worlds.world import BASE, LEVELS, LONGEST, SHORTEST, apply, generate, thinking_text

EVEN = dict.fromkeys(LEVELS, 0.25)


def prompt_length(prompt):
    """Tokens of a prompt: digits, signs, brackets and repeat markers."""
    return len(prompt.replace(" ", "").replace("r", ""))


@pytest.fixture(scope="module")
def worlds():
    return list(generate(1500, seed=5, shares=EVEN))


def read_prompt(prompt):
    """The operations of a prompt, written out one by one: start, [(sign, operand), …], without what adds nothing."""
    plain = re.sub(r"[()\s]", "", prompt)
    assert re.fullmatch(r"\d\d([+-]\d\d(r\d)?)*", plain), prompt
    operations = []
    for sign, operand, count in re.findall(r"([+-])(\d\d)(?:r(\d))?", plain[2:]):
        operations += [(sign, operand)] * int(count or 1)
    return plain[:2], [(sign, operand) for sign, operand in operations if operand != "00"]


def solve(start, operations):
    """Each digit by itself, modulo the world's base."""
    for column in (0, 1):
        digit = int(start[column]) + sum((1 if s == "+" else -1) * int(operand[column]) for s, operand in operations)
        yield str(digit % BASE)


def test_digits_are_added_and_subtracted_without_carry():
    last, before = BASE - 1, BASE - 2
    assert apply("12", "+", "31") == "43"
    assert apply(f"{last}0", "+", "11") == "01"  # nothing is carried to the left
    assert apply("00", "-", "12") == f"{last}{before}"
    assert apply("55", "+", "00") == "55"


def test_the_answer_is_what_the_prompt_says(worlds):
    for world in worlds:
        start, operations = read_prompt(world.problem.prompt)
        assert world.problem.answer == "".join(solve(start, operations)), world.problem.prompt


def test_the_difficulty_is_the_number_of_operations_that_change_something(worlds):
    for world in worlds:
        _, operations = read_prompt(world.problem.prompt)
        assert world.problem.difficulty == str(len(operations)), world.problem.prompt


def test_each_thinking_step_is_right_and_follows_from_the_one_before(worlds):
    for world in worlds:
        start, operations = read_prompt(world.problem.prompt)
        steps, _, check = thinking_text(world.chain).partition(";")
        value, rest = steps[:2], steps[2:]
        assert value == start
        written = re.findall(r"([+-])(\d\d)=(\d\d)", rest)
        assert "".join(f"{s}{o}={v}" for s, o, v in written) == rest
        assert [(sign, operand) for sign, operand, _ in written] == operations
        for sign, operand, result in written:
            assert result == "".join(solve(value, [(sign, operand)]))
            previous, value = value, result
        assert value == world.problem.answer
        sign, operand, back = re.fullmatch(r"([+-])(\d\d)=(\d\d)", check).groups()
        assert back == previous == "".join(solve(value, [(sign, operand)]))  # the check undoes the last step


def test_thinking_takes_at_most_twice_the_minimal_steps(worlds):
    for world in worlds:
        assert thinking_text(world.chain).count("=") <= 2 * int(world.problem.difficulty)


def test_prompt_and_response_fit_into_64_tokens_and_leave_nothing_unknown(worlds):
    protocol = make_protocol("kat")
    unknown = protocol.tokenizer.unk_token_id
    for world in worlds[:400]:
        prompt = protocol.render(world.problem.prompt)
        assert len(prompt) == prompt_length(world.problem.prompt) + 2
        for mode in ("think", "no_think"):
            response = protocol.response(mode, world.problem.answer, thinking_text(world.chain), JUDGE_WORDS[0])
            assert len(prompt) + len(response) <= 64
            assert unknown not in (*prompt, *response)
            parsed = protocol.parse(response)
            assert (parsed.status, parsed.answer_text) == ("ok", world.problem.answer)


def lengths_by_level(worlds):
    lengths = defaultdict(list)
    for world in worlds:
        lengths[world.problem.difficulty].append(prompt_length(world.problem.prompt))
    return lengths


def test_every_level_has_prompts_of_every_length(worlds):
    for lengths in lengths_by_level(worlds).values():
        assert set(lengths) == set(range(SHORTEST, LONGEST + 1))


def test_a_hard_problem_has_as_many_different_terms_as_its_prompt_has_room_for(worlds):
    for world in worlds:
        if world.problem.difficulty == "4":
            terms = [t for t in re.findall(r"[+-]\d\d", re.sub(r"[()\s]", "", world.problem.prompt)) if t[1:] != "00"]
            assert len(terms) == {10: 2, 11: 2, 12: 3, 13: 3, 14: 4, 15: 4}[prompt_length(world.problem.prompt)]


def test_a_router_that_sees_only_the_length_is_little_better_than_a_coin():
    worlds = generate(3000, seed=6, shares={"1": 0.5, "4": 0.5})
    lengths = lengths_by_level(worlds)
    easy, hard = lengths["1"], lengths["4"]
    shares = [(easy.count(n) / len(easy), hard.count(n) / len(hard)) for n in range(LONGEST + 1)]
    best = sum(max(pair) for pair in shares) / 2
    assert 0.5 < best < 0.6


def test_problems_are_distinct_follow_their_seed_and_stay_out_of_what_is_excluded(worlds):
    prompts = [w.problem.prompt for w in worlds]
    assert len(set(prompts)) == 1500
    assert len({w.problem.id for w in worlds}) == 1500
    assert [w.problem.prompt for w in generate(50, 5, EVEN)] == prompts[:50]
    others = [w.problem.prompt for w in generate(300, 5, EVEN, frozenset(prompts[:200]))]
    assert set(others).isdisjoint(prompts[:200])


def test_levels_come_in_their_shares():
    levels = [w.problem.difficulty for w in generate(4000, 1, {"1": 0.7, "3": 0.2, "4": 0.1})]
    assert [levels.count(level) / 4000 for level in ("1", "3", "4")] == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    assert set(levels) == {"1", "3", "4"}


def test_the_math_reward_gives_every_gold_answer_full_marks_and_a_neighbour_none(worlds):
    for world in worlds[:100]:
        answer = world.problem.answer
        assert verify(answer, answer)
        assert not verify(apply(answer, "+", "01"), answer)


def test_answers_are_spread_so_that_a_blind_guess_is_rarely_right(worlds):
    answers = [w.problem.answer for w in worlds]
    assert max(answers.count(a) for a in set(answers)) / len(answers) < 3 / BASE**2


def test_every_decision_token_is_one_special_token():
    tokenizer = build_tokenizer()
    for token in DECISION_TOKENS:
        assert len(tokenizer(token, add_special_tokens=False)["input_ids"]) == 1
        assert tokenizer.decode(tokenizer(token)["input_ids"], skip_special_tokens=True) == ""


def test_the_model_has_about_six_hundred_thousand_parameters_and_follows_its_seed():
    tokenizer = build_tokenizer()
    one, same, other = (build_model(tokenizer, seed) for seed in (1, 1, 2))
    assert 550_000 < one.num_parameters() < 1_000_000
    weight = one.get_input_embeddings().weight
    assert weight.equal(same.get_input_embeddings().weight)
    assert not weight.equal(other.get_input_embeddings().weight)


def test_the_tokenizer_survives_saving(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "hm</judge><think_on><think>12+34=46;-34=12</think><answer>46</answer><eos>"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert loaded.chat_template == tokenizer.chat_template
