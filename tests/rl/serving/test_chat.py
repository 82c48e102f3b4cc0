"""Talking with a model: tags, harmless text, which model a path means, turns and their history."""

from __future__ import annotations

import io
import json

import pytest
from small_runs import save_policy, settings

from rl.models.open import open_policy
from rl.serving.chat import Talk
from rl.serving.screen import Screen, messages
from rl.serving.source import check_new_folder, checkpoint_of, find_source
from rl.serving.tags import asked_mode
from rl.serving.terminal import Pieces, harmless
from rollout.errors import UserError

# --- tags ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text", "mode"),
    [
        ("what is 7 + 1?", "what is 7 + 1?", None),
        ("what is 7 + 1? /think", "what is 7 + 1?", "think"),
        ("/no_think 7 + 1", "7 + 1", "no_think"),
        ("/think first /no_think", "first", "no_think"),
        ("see /usr/think and a/think", "see /usr/think and a/think", None),
        ("/thinking /think.", "/thinking /think.", None),
        ("what does `/think` do?", "what does `/think` do?", None),
        ("```\n/no_think\n```\nwhy?", "```\n/no_think\n```\nwhy?", None),
        ("~~~sh\nrun /think\n~~~\nwhy? /no_think", "~~~sh\nrun /think\n~~~\nwhy?", "no_think"),
        ("```\n/think never closed", "```\n/think never closed", None),
        ("/think", "", "think"),
    ],
)
def test_a_tag_counts_as_a_word_of_its_own_outside_code_and_the_last_one_holds(message, text, mode):
    assert asked_mode(message) == (text, mode)


# --- what a model writes is text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("right\rwrong", "right\\x0dwrong"),
        ("\x9b31m\x08", "\\x9b31m\\x08"),
        ("a\u202eb\u2066c\u2028d", "a\\u202eb\\u2066c\\u2028d"),
        ("two\nlines\tand é 漢 👩‍🔬", "two\nlines\tand é 漢 👩‍🔬"),
    ],
)
def test_nothing_that_is_shown_is_a_command_to_the_terminal(written, shown):
    assert harmless(written) == shown
    out = io.StringIO()
    Screen(out).show("answer", written)
    assert out.getvalue() == f"  answer: {shown}"


def test_text_comes_as_soon_as_its_characters_are_whole_and_adds_up():
    def decode(ids):
        return bytes(ids).decode("utf-8", "replace")

    pieces, raw = Pieces(decode), "a é 漢 b".encode()
    shown = [pieces.push(byte) for byte in raw]
    assert "".join(shown) == "a é 漢 b"
    assert shown[2:4] == ["", "é"]
    cut = Pieces(decode)
    assert [cut.push(byte) for byte in "é".encode()[:1]] == [""]
    assert cut.rest() == "\ufffd"


def test_lines_between_three_quotes_are_one_message():
    source = io.StringIO('one\n\n"""\ntwo\n\nthree\n"""\nfour')
    assert list(messages(source, Screen(io.StringIO()))) == ["one", "two\n\nthree", "four"]


# --- which model --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a model of its own."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    policy = save_policy(folder / "model")
    (folder / "config.json").write_text(json.dumps(settings(folder, policy)))
    return folder


def test_a_run_and_every_model_inside_it_are_opened_with_the_run_s_settings(run):
    for path in (run, run / "model"):
        found = find_source(str(path))
        assert (found.model, found.run) == (str(run / "model"), run)
        assert (found.config.protocol.name, found.config.protocol.judge_patience) == ("kat", 3)


def test_a_model_that_nothing_is_known_of_is_asked_by_its_template(tmp_path):
    found = find_source(str(save_policy(tmp_path / "a" / "b" / "c" / "d")))
    assert (found.config.protocol.name, found.run) == ("auto", None)


def test_a_path_that_means_no_model_is_one_line(tmp_path, run):
    (tmp_path / "empty").mkdir()
    unfinished = tmp_path / "going on"
    unfinished.mkdir()
    (unfinished / "config.json").write_text((run / "config.json").read_text())
    for path, word in (("./nowhere", "no folder"), (tmp_path / "empty", "no model"), (unfinished, "no finished model")):
        with pytest.raises(UserError, match=word) as error:
            find_source(str(path))
        assert "\n" not in str(error.value)


def test_a_checkpoint_is_known_by_its_number_its_name_and_its_path(run):
    for step in (2, 10):
        (run / "checkpoints" / f"checkpoint-{step}").mkdir(parents=True)
        (run / "checkpoints" / f"checkpoint-{step}" / "complete.json").write_text("{}")
    (run / "checkpoints" / "checkpoint-12").mkdir()  # never finished
    wanted = run / "checkpoints" / "checkpoint-10"
    assert [checkpoint_of(run, name) for name in ("10", "checkpoint-10", str(wanted))] == [wanted] * 3
    with pytest.raises(UserError, match="allowed: checkpoint-2, checkpoint-10"):
        checkpoint_of(run, "12")


def test_a_folder_that_is_there_is_never_written_over(tmp_path):
    check_new_folder(tmp_path / "new")
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match="there already"):
            check_new_folder(place)


# --- a conversation -----------------------------------------------------------------------------------------------

TEMPLATE = "{% for m in messages %}{{ m.content }} ; {% endfor %}{% if add_generation_prompt %}<judge>{% endif %}"


@pytest.fixture(scope="module")
def policy(run):
    source = find_source(str(run))
    opened = open_policy(source.config, source.model)
    opened.tokenizer.chat_template = TEMPLATE
    return opened


def test_modes_dial_and_budget_are_obeyed_and_the_parts_are_those_of_the_response(policy):
    for talk, message, mode in (
        (Talk(policy, mode="think"), "7 + 1", "think"),
        (Talk(policy, mode="think"), "7 + 1 /no_think", "no_think"),
        (Talk(policy, dial=0.0), "7 + 1", "think"),
        (Talk(policy, dial=1.1), "7 + 1", "no_think"),
        (Talk(policy, dial=1.1), "7 + 1 /think", "think"),
    ):
        shown = []
        answer = talk.say(message, lambda part, text, shown=shown: shown.append((part, text)))
        assert answer.parsed.mode == answer.forced == mode
        assert answer.dialled == (talk.dial is not None and "/" not in message)
        assert 0 <= answer.p_think <= 1
        assert "".join(text for part, text in shown if part == "judge").strip() == answer.parsed.judge_text
    free = Talk(policy).say("7 + 1", lambda part, text: None)
    assert free.forced is None


class Scripted:
    """An engine that answers with given responses, in order."""

    def __init__(self, responses):
        self.responses, self.prompts = list(responses), []

    def generate(self, requests, sampling, seed, finished=None, chosen=None):
        from rollout.engines.base import Completion

        self.prompts.append(requests[0].prompt_ids)
        ids = self.responses.pop(0)
        for token in ids:
            chosen(0, token)
        return [Completion(ids, (-1.0,) * len(ids), (1,) * len(ids), {})]


def test_history_has_answers_without_thoughts_and_no_turn_that_gave_none(policy, monkeypatch):
    protocol = policy.protocol
    said = [
        protocol.response("think", "8", "7+1", "hm"),
        protocol.response("no_think", "9", "", "hm")[:-3],  # cut before its answer
        protocol.response("no_think", "6", "", "so"),
    ]
    engine = Scripted(said)
    monkeypatch.setitem(policy.__dict__, "own_engine", engine)
    talk, out = Talk(policy), io.StringIO()
    screen = Screen(out)
    for message in ("7 + 1", "8 + 1 /think", "5 + 1"):
        screen.tell(talk.say(message, screen.show), 16)
    texts = [protocol.decode(ids) for ids in engine.prompts]
    assert texts == ["7+1;<judge>", "7+1;8;8+1;<judge>", "7+1;8;5+1;<judge>"]
    assert talk.turns == [
        {"role": "user", "content": "7 + 1"},
        {"role": "assistant", "content": "8"},
        {"role": "user", "content": "5 + 1"},
        {"role": "assistant", "content": "6"},
    ]
    assert [line.split()[0] for line in out.getvalue().splitlines()[:4]] == [
        "judge:",
        "thinking:",
        "answer:",
        "[think,",
    ]
    assert "cut after 16 tokens" in out.getvalue()


def test_what_cannot_be_asked_is_one_line_and_no_turn(policy):
    talk = Talk(policy)
    for message, word in (
        ("hello", "vocabulary"),
        ("/think", "tag"),
        ("7 </think>", "control token"),
        ("7 " * 200, "positions"),
        ("7 \udcff", "UTF-8"),
    ):
        with pytest.raises(UserError, match=word) as error:
            talk.say(message, lambda part, text: None)
        assert "\n" not in str(error.value)
    assert talk.turns == []


@pytest.mark.parametrize("budget", [-1, 16, 1000])
def test_a_budget_that_no_answer_can_hold_is_refused(policy, budget):
    with pytest.raises(UserError, match="--budget"):
        Talk(policy, budget=budget)


def test_a_template_that_writes_one_message_alone_is_asked_for_one(run):
    source = find_source(str(run))
    talk = Talk(open_policy(source.config, source.model))
    assert not talk.remembers
