"""A run as a folder that plain transformers load, and what stands beside the weights."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
import torch
from families import SHIPPED, STAND_INS
from family_table import family_protocol
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from small_runs import save_policy, script, settings
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from rl.models.open import open_policy
from rl.serving.card import Facts, bias_lines
from rl.serving.decision import allowed_threshold, can_bias, decision_table
from rl.serving.margin import Margin
from rl.serving.source import find_source
from rl.statistics.dial import logit_bias
from rollout.types import MODES


def save_run(folder, **sections):
    """A run folder with a model, an evaluation and a dial."""
    policy = save_policy(folder / "model")
    row = {"accuracy": 0.5, "mean_tokens": 7.0}
    result = {"n": 4, "modes": {"think": row, "no_think": row, "auto": {**row, "think_rate": 0.25}}}
    (folder / "eval.json").write_text(json.dumps(result))
    (folder / "model" / "dial.json").write_text(json.dumps({"schema": 1, "tau": 0.25}))
    (folder / "config.json").write_text(json.dumps(settings(folder, policy, **sections)))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("runs") / "small", evaluation={"problems": 4})


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """(the folder, what the command printed)."""
    out = tmp_path_factory.mktemp("out") / "served"
    done = script("export.py", str(run), str(out), "--problems", "3")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_plain_transformers_load_it_and_its_weights_are_the_run_s(run, exported):
    out, printed = exported
    assert f"written: {out}" in printed
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (run / "model", out))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with safe_open(out / "model.safetensors", "pt") as weights:
        assert weights.keys()
    assert not list(out.parent.glob("*.part"))


def test_decoding_shows_its_decision_tokens_and_hides_its_ends(run, exported):
    plain, shown = (AutoTokenizer.from_pretrained(path) for path in (run / "model", exported[0]))
    text = "hm</judge><think_on><think>7+1</think><answer>8</answer><eos>"
    ids = plain(text, add_special_tokens=False)["input_ids"]
    assert shown(text, add_special_tokens=False)["input_ids"] == ids
    assert plain.decode(ids, skip_special_tokens=True) == "hm7+18"
    assert shown.decode(ids, skip_special_tokens=True) == text.removesuffix("<eos>")
    assert GenerationConfig.from_pretrained(exported[0]).eos_token_id == [shown.eos_token_id]


def test_the_card_has_the_untouched_model_first_and_the_ways_to_ask(exported):
    card = (exported[0] / "README.md").read_text()
    rows = [line.split("|")[1].strip() for line in card.splitlines() if line.startswith("| ")]
    assert rows == ["model", "---", *["the untouched model"] * 3, *["this model"] * 3]
    assert "| this model | auto | 0.500 | 7.0 | 25.0% |" in card
    assert "`dial.json` sets it to 0.2500" in card
    assert "on any server" in card.lower() or "acts elsewhere too" in card  # a random model may do either


def test_the_card_offers_a_logit_bias_only_where_it_was_seen_to_act_nowhere_else():
    kat, qwen = family_protocol("KAT-V1"), family_protocol("Qwen3")

    def told(least, tau):
        margin = None if least is None else Margin(least, 90, 5)
        return " ".join(bias_lines(Facts(kat, "", [], {"tau": tau} if tau else None, margin)))

    texts = {(least, tau): told(least, tau) for least in (None, -0.1, 2.0) for tau in (None, 0.3, 0.95)}
    assert {key for key, text in texts.items() if "On any server" in text} == {(2.0, None), (2.0, 0.3), (2.0, 0.95)}
    # log(0.95 / 0.05) is 2.94, above the margin.
    assert {key for key, text in texts.items() if "For `dial.json`" in text} == {(2.0, 0.3)}
    assert "τ up to 0.8808" in texts[2.0, 0.3]
    assert "acts elsewhere too" in texts[-0.1, 0.3]
    assert "not measured" in texts[None, 0.3]
    assert "cannot be this model's dial" in bias_lines(Facts(qwen, "", [], None, None))[0]


def test_it_is_opened_again_here_with_the_same_prompts_and_decisions(run, exported):
    before, after = (open_policy((s := find_source(str(path))).config, s.model).protocol for path in (run, exported[0]))
    assert after.render("7 + 1") == before.render("7 + 1")
    assert [after.forcing(mode) for mode in MODES] == [before.forcing(mode) for mode in MODES]
    assert json.loads((exported[0] / "dial.json").read_text())["tau"] == 0.25
    done = script("chat.py", str(exported[0]), "--mode", "no_think")
    assert done.returncode == 0, done.stderr


@pytest.mark.medium
def test_an_earlier_checkpoint_and_one_of_adapters_are_exported_as_plain_models(tmp_path):
    base = save_policy(tmp_path / "base", seed=3)
    folder = save_run(tmp_path / "lora", model={"path": str(base), "lora": {"rank": 2, "alpha": 4}})
    model = AutoModelForCausalLM.from_pretrained(base)
    whole = folder / "checkpoints" / "checkpoint-2"
    model.save_pretrained(whole)
    adapters = folder / "checkpoints" / "checkpoint-4"
    low = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False))
    low.save_pretrained(adapters)
    # Picked for the last model's weights, it says nothing of these.
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "dial.json").write_text(json.dumps({"schema": 1, "tau": 0.25}))
    for place in (whole, adapters):
        AutoTokenizer.from_pretrained(base).save_pretrained(place)
        (place / "complete.json").write_text("{}")
    expected = low.merge_and_unload().state_dict()
    for number, reference in (("2", AutoModelForCausalLM.from_pretrained(base).state_dict()), ("4", expected)):
        out = tmp_path / f"out{number}"
        done = script("export.py", str(folder), str(out), "--checkpoint", number, "--problems", "0")
        assert done.returncode == 0, done.stderr
        found = AutoModelForCausalLM.from_pretrained(out).state_dict()
        assert all(torch.allclose(found[name], reference[name], atol=1e-6) for name in found)
        # The evaluation is that of the last model, so this card has none.
        assert "| this model |" not in (out / "README.md").read_text()
        assert not (out / "dial.json").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nowhere", "out"), "no run folder"),
        (("{run}/model", "out"), "no run folder"),
        (("{run}", "{run}"), "there already"),
        (("{run}", "out", "--checkpoint", "9"), "no complete checkpoint"),
        (("{run}", "out", "--problems", "-1"), "--problems"),
        (("{run}", "out", "--push", "a/b/c"), "--push"),
        (("{run}", "out", "--push", "org/name"), "token"),
    ],
)
def test_what_cannot_be_exported_is_one_line(arguments, word, run, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    told = [text.replace("{run}", str(run)).replace("out", str(tmp_path / "out")) for text in arguments]
    done = script("export.py", *told)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert word in done.stderr
    assert not (tmp_path / "out").exists()


class Hub(BaseHTTPRequestHandler):
    """A hub that makes repositories and takes no files."""

    asked: ClassVar[list[tuple[str, dict]]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        self.asked.append((self.path, body))
        answers = {
            "/api/repos/create": {"url": f"http://{self.headers['host']}/org/name", "id": "1"},
            "/api/validate-yaml": {"errors": [], "warnings": []},
        }
        text = json.dumps(answers.get(self.path, {"error": "full"}))
        self.send_response(200 if self.path in answers else 403)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Quiet."""


def test_a_push_makes_a_private_model_and_goes_up_to_the_upload(exported, monkeypatch):
    from huggingface_hub import constants, hf_api

    from rl.serving.push import push
    from rollout.errors import UserError

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hf_api.constants, "ENDPOINT", address)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    try:
        with pytest.raises(UserError, match="the hub refuses") as error:
            push(exported[0], "org/name")
    finally:
        server.shutdown()
    assert "\n" not in str(error.value)
    made, sent = Hub.asked[0], Hub.asked[-1]
    assert made[0] == "/api/repos/create"
    assert (made[1]["name"], made[1]["organization"], made[1]["visibility"]) == ("name", "org", "private")
    assert sent[0] == "/api/models/org/name/preupload/main"
    assert {"README.md", "model.safetensors", "decision.json"} <= {file["path"] for file in sent[1]["files"]}


def test_a_logit_bias_is_the_dial_only_where_both_switches_are_tags_that_stand_nowhere_else():
    allowed = {
        f
        for f in {*SHIPPED, *STAND_INS} - {"Granite 3.3", "LFM2.5", "gpt-oss", "Muse Glimmer"}
        if not can_bias(family_protocol(f))
    }
    assert allowed == {"KAT-V1"}
    assert "ordinary text" in can_bias(family_protocol("Qwen3"))
    assert "stands elsewhere" in can_bias(family_protocol("DeepSeek V3.1"))
    assert "no token of its own" in can_bias(family_protocol("Kimi-K2.5"))


def test_the_largest_threshold_is_the_one_whose_bias_is_the_margin():
    for margin in (0.5, 2.0, 7.52):
        assert logit_bias(allowed_threshold(margin)) == pytest.approx(margin)
    assert allowed_threshold(0.0) == 0.5


def test_a_prompt_s_end_is_what_stands_behind_every_question():
    kat, qwen = family_protocol("KAT-V1"), family_protocol("Qwen3")
    assert kat.decode(decision_table(kat)["prompt_ends"]) == "<|im_end|>\n<|im_start|>assistant\n<judge>\n"
    assert qwen.decode(decision_table(qwen)["prompt_ends"]) == "<|im_end|>\n<|im_start|>assistant\n<think>"


@pytest.mark.medium
@pytest.mark.parametrize("dial", ["", '{"tau": "NaN"}'])
def test_a_dial_that_is_none_ends_in_one_line_and_leaves_no_half_of_an_export(dial, tmp_path):
    run = save_run(tmp_path / "run")
    (run / "model" / "dial.json").write_text(dial)
    done = script("export.py", str(run), str(tmp_path / "out"), "--problems", "0")
    assert (done.returncode, [p.name for p in tmp_path.iterdir() if p.name.startswith("out")]) == (2, [])
    assert "Traceback" not in done.stderr
