"""Merging against a plain loop over whole state dicts."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from rl.distillation.merge import MergeError, merge


def tensors(seed, rows=6):
    generator = torch.Generator().manual_seed(seed)
    return {
        "model.embed_tokens.weight": torch.randn(rows, 4, generator=generator),
        "model.layers.0.weight": torch.randn(4, 4, generator=generator).to(torch.bfloat16),
        "model.norm.scale": torch.randn((), generator=generator),
        "model.positions": torch.arange(3),
    }


def save(folder, state, shards=1):
    folder.mkdir()
    (folder / "config.json").write_text('{"tie_word_embeddings": true}')
    names = list(state)
    if shards == 1:
        save_file(state, folder / "model.safetensors")
        return folder
    files = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    places = {name: files[i % shards] for i, name in enumerate(names)}
    for file in files:
        save_file({name: state[name] for name in names if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


def loaded(folder):
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


@pytest.mark.parametrize("shards", [1, 2])
def test_the_mean_delta_is_that_of_a_plain_loop(tmp_path, shards):
    base, one, two = (save(tmp_path / str(i), tensors(i), shards) for i in range(3))
    assert merge([one, two], tmp_path / "out", base=base, scale=0.5) == 4
    start, states, result = tensors(0), (tensors(1), tensors(2)), loaded(tmp_path / "out")
    for name in ("model.embed_tokens.weight", "model.layers.0.weight", "model.norm.scale"):
        origin = start[name].float()
        wanted = origin + 0.5 * ((states[0][name].float() - origin) + (states[1][name].float() - origin)) / 2
        torch.testing.assert_close(result[name].float(), wanted.to(start[name].dtype).float())
        assert result[name].dtype == start[name].dtype
    assert result["model.positions"].tolist() == [0, 1, 2]


def test_a_weighted_sum_is_that_of_a_plain_loop_and_keeps_the_other_files(tmp_path):
    one, two = (save(tmp_path / str(i), tensors(i)) for i in range(2))
    merge([one, two], tmp_path / "out", weights=[0.75, 0.25])
    wanted = 0.75 * tensors(0)["model.embed_tokens.weight"] + 0.25 * tensors(1)["model.embed_tokens.weight"]
    torch.testing.assert_close(loaded(tmp_path / "out")["model.embed_tokens.weight"], wanted)
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {"tie_word_embeddings": True}


def test_sums_are_taken_in_float32(tmp_path):
    """In bfloat16 256 + 1 is 256: three of these would stay there."""
    values = {"w": torch.tensor([256.0]).to(torch.bfloat16)}
    folders = [save(tmp_path / str(i), values) for i in range(3)]
    folders += [save(tmp_path / "last", {"w": torch.tensor([264.0]).to(torch.bfloat16)})]
    merge(folders, tmp_path / "out")
    assert loaded(tmp_path / "out")["w"].item() == 258.0


def test_added_rows_are_the_mean_of_the_checkpoints_rows(tmp_path):
    base, one, two = (save(tmp_path / str(i), tensors(i, rows)) for i, rows in enumerate((4, 6, 6)))
    merge([one, two], tmp_path / "out", base=base, scale=0.5)
    name, states = "model.embed_tokens.weight", (tensors(1), tensors(2))
    result = loaded(tmp_path / "out")[name]
    torch.testing.assert_close(result[4:], (states[0][name][4:] + states[1][name][4:]) / 2)
    origin = tensors(0, 4)[name]
    torch.testing.assert_close(result[:4], origin + 0.5 * ((states[0][name][:4] + states[1][name][:4]) / 2 - origin))


def test_a_tied_head_that_only_some_store_is_left_to_the_embeddings(tmp_path):
    state = tensors(1)
    one = save(tmp_path / "one", {**state, "lm_head.weight": state["model.embed_tokens.weight"].clone()})
    two = save(tmp_path / "two", tensors(2))
    merge([two, one], tmp_path / "out")
    assert "lm_head.weight" not in loaded(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"cut"), "cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds adapters"),
        (lambda folder: save_file({"other": torch.zeros(1)}, folder / "model.safetensors"), "another has not"),
        (
            lambda folder: save_file(
                {**tensors(1), "model.layers.0.weight": torch.zeros(2, 4)}, folder / "model.safetensors"
            ),
            "allowed: 4×4",
        ),
    ],
)
def test_what_cannot_be_merged_is_named_and_leaves_no_model(tmp_path, change, message):
    one, two = (save(tmp_path / str(i), tensors(i)) for i in range(2))
    change(two)
    with pytest.raises(MergeError, match=message):
        merge([one, two], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_never_written_over(tmp_path):
    one = save(tmp_path / "one", tensors(1))
    with pytest.raises(MergeError, match="is there already"):
        merge([one], one)
    with pytest.raises(MergeError, match="sum 1"):
        merge([one], tmp_path / "out", weights=[0.5])


def test_what_is_said_of_one_checkpoint_alone_is_not_said_of_the_merged_model(tmp_path):
    one, two = (save(tmp_path / str(i), tensors(i)) for i in range(2))
    for name in ("dial.json", "trainer_state.json", "tokenizer.json"):
        (one / name).write_text("{}")
    merge([one, two], tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize("settings", [{"scale": float("nan")}, {"weights": [float("nan"), 1.0]}])
def test_numbers_that_are_none_are_refused(tmp_path, settings):
    one, two = (save(tmp_path / str(i), tensors(i)) for i in range(2))
    with pytest.raises(MergeError, match="nan"):
        merge([one, two], tmp_path / "out", **settings)


def test_an_index_that_cannot_be_read_is_named(tmp_path):
    one = save(tmp_path / "one", tensors(1), 2)
    (one / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(MergeError, match="index"):
        merge([one], tmp_path / "out")
