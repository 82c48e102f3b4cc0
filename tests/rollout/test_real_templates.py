"""The configurations for real models, each dry-run on a small random model that behaves like the real one."""

from __future__ import annotations

import runpy
from argparse import Namespace
from pathlib import Path

import pytest
from real_templates import real_tokenizer, save_real
from small_runs import ROOT

from rl.config.read import load_config
from rl.models.loading import load_tokenizer
from rl.models.protocols import build_protocol
from rollout.protocol import DecisionProtocol, ProtocolError, layout
from rollout.types import MODES

GSM8K = '{"question": "Ann has 3 apples and 4 pears. How many?", "answer": "3 + 4 = <<3+4=7>>7.\\n#### 7"}\n'
MATH = '{"problem": "What is $3+4$?", "solution": "It is $\\\\boxed{7}$.", "level": "Level 1", "type": "Algebra"}\n'
CONFIGS = {
    "qwen3-0.6b.yaml": ("qwen3", GSM8K),
    "qwen3-8b.yaml": ("qwen3", MATH),
    "deepseek-r1-distill.yaml": ("r1", GSM8K),
    "kat.yaml": ("base", GSM8K),
}
TALK = (
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "<think>\none and one\n</think>\n\n2"},
    {"role": "user", "content": "doubled?"},
)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("real")
    return {name: save_real(name, folder / name) for name in ("qwen3", "base", "kat", "r1")}


def real_config(name: str, models: dict[str, Path], folder: Path, *overrides: str):
    model, row = CONFIGS[name]
    (folder / "data.jsonl").write_text(row)
    files = [f"data.path={folder}", "data.train=data.jsonl", "data.test=data.jsonl", f"run_dir={folder / 'run'}"]
    one = "trainer.prompts_per_step=1"  # the data is one problem
    return load_config(ROOT / "configs" / name, [f"model.path={models[model]}", one, *files, *overrides])


def run_dry(script: str, config, capsys) -> str:
    main = runpy.run_path(str(ROOT / "scripts" / script))["main"]
    main(Namespace(dry_run=True, manual_only=False, stand_in=False, gpus=None, gpu_memory=None), config)
    return capsys.readouterr().out


@pytest.mark.medium
@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_for_a_real_model_passes_the_dry_run_of_training(name, models, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = run_dry("train.py", real_config(name, models, tmp_path), capsys)
    assert "gold answers: 1 of 1 earn full marks" in shown
    assert "dry run: everything a run needs is in place" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", CONFIGS)
def test_and_the_dry_run_of_the_cold_start(name, models, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = run_dry("cold_start.py", real_config(name, models, tmp_path), capsys)
    assert "dry run: everything a cold start needs is in place" in shown
    assert not (tmp_path / "run").exists()


def test_the_cold_start_s_dry_run_shows_what_will_be_trained(models, tmp_path, capsys):
    shown = run_dry("cold_start.py", real_config("kat.yaml", models, tmp_path), capsys)
    assert "added tokens </judge>, <think_on>, <think_off>, <think>, </think>, <answer>, </answer>" in shown
    assert "think prompt: <|im_start|>user\\nAnn has 3 apples and 4 pears. How many? /think<|im_end|>\\n" in shown
    assert "no_think response: \\n</judge>\\n\\n<think_off>\\n<answer>\\n7\\n</answer><|im_end|>" in shown


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_forced_on_a_row_is_how_its_response_begins(name, mode, models, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = real_config(name, models, tmp_path, *(["model.path=" + str(models["kat"])] if name == "kat.yaml" else []))
    protocol = build_protocol(config, load_tokenizer(config))
    response = protocol.response(mode, "It is 7.", "Three and four.\n\nSeven.")
    written = protocol.forcing(mode).write
    begin = (
        response.index(written[0]) if protocol.spec.name == "qwen3" else response.index(written[-1]) - len(written) + 1
    )
    assert response[begin : begin + len(written)] == written
    parsed = protocol.parse(response)
    assert (parsed.mode, parsed.status, parsed.answer_text) == (mode, "ok", "It is 7.")
    assert parsed.think_text == ("Three and four.\n\nSeven." if mode == "think" else "")


# --- what the real templates do -----------------------------------------------------------------------------------


def test_qwen3_s_empty_thinking_block_is_a_decision_already_made():
    protocol = DecisionProtocol(real_tokenizer("qwen3"), layout("qwen3"), template_kwargs={"enable_thinking": False})
    with pytest.raises(ProtocolError, match="already writes '</think>' at the start of the response"):
        protocol.render("1+1?")


def test_r1_s_own_template_is_refused_and_the_error_names_the_file_that_replaces_it(models, tmp_path):
    config = real_config("deepseek-r1-distill.yaml", models, tmp_path, "model.chat_template=''")
    with pytest.raises(ProtocolError, match=r"already writes '<think>' .* configs/templates/deepseek-r1\.jinja"):
        build_protocol(config, load_tokenizer(config)).render("1+1?")


def test_r1_s_replacement_differs_from_its_own_template_by_the_thinking_tag_alone():
    tokenizer = real_tokenizer("r1")
    theirs = tokenizer.apply_chat_template(list(TALK), tokenize=False, add_generation_prompt=True)
    tokenizer.chat_template = (ROOT / "configs/templates/deepseek-r1.jinja").read_text(encoding="utf-8")
    ours = tokenizer.apply_chat_template(list(TALK), tokenize=False, add_generation_prompt=True)
    assert theirs.replace("\n\n2<", "2<") == ours + "<think>\n"
    assert ours == (
        "<｜begin▁of▁sentence｜>be brief<｜User｜>1+1?<｜Assistant｜>2<｜end▁of▁sentence｜>"
        "<｜User｜>doubled?<｜Assistant｜>"
    )


@pytest.mark.parametrize("name", ["qwen3", "kat"])
def test_a_conversation_is_rendered_without_its_earlier_thinking(name):
    protocol = DecisionProtocol(real_tokenizer(name), layout(name), system="ignored: the conversation has its own")
    spoken = TALK[2]["content"] if name == "qwen3" else "hm\n</judge>\n\n<think_off>\n<answer>\n2\n</answer>"
    talk = (*TALK[:2], {"role": "assistant", "content": spoken}, TALK[3])
    assert protocol.prompt_text("doubled?", talk) == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n"
        "<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\ndoubled?<|im_end|>\n<|im_start|>assistant\n"
        + ("<judge>\n" if name == "kat" else "")
    )


def test_the_last_turn_carries_the_manual_tag():
    tags = {"think": "/think", "no_think": "META_PROMPT: system 1\n{prompt}"}
    protocol = DecisionProtocol(real_tokenizer("qwen3"), layout("qwen3"), system="be kind", tags=tags)
    begin = "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\n"
    end = "<|im_end|>\n<|im_start|>assistant\n"
    assert protocol.prompt_text("1+1?", manual="think") == f"{begin}1+1? /think{end}"
    assert protocol.prompt_text("1+1?", manual="no_think") == f"{begin}META_PROMPT: system 1\n1+1?{end}"
    assert protocol.prompt_text("doubled?", TALK, "think").endswith(f"doubled? /think{end}")


def test_a_tag_that_is_not_configured_is_named():
    protocol = DecisionProtocol(real_tokenizer("qwen3"), layout("qwen3"))
    with pytest.raises(ProtocolError, match=r"protocol\.tags has no tag for 'think'"):
        protocol.render("1+1?", manual="think")
    with pytest.raises(ValueError, match=r"protocol\.tags has think; allowed: both of no_think, think"):
        load_config(ROOT / "configs/qwen3-0.6b.yaml", ["protocol.tags={think: /think}"])
