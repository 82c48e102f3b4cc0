"""Which layers adapters stand beside."""

import pytest
from small_runs import save_policy, small_config
from trainer_setups import quiet_setup

from rl.config.schema import ConfigError
from rl.models.adapters import lora_config


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.mark.parametrize(
    ("targets", "missing"),
    [
        (["nope"], "nope"),
        (["q_proj", "nope", "v"], "nope, v"),
        ("al-linear", "al-linear"),
        ("q_proj", "q_proj"),  # a text is a pattern of whole names
        ("(", r"\("),
        ("all-linear", ""),
        (["q_proj", "mlp.up_proj"], ""),
        (r".*\.q_proj", ""),
    ],
)
def test_layers_that_the_model_lacks_are_refused_with_those_it_has(tmp_path, policy, targets, missing):
    lora = {"rank": 2, "target_modules": targets}
    setup = quiet_setup(small_config(tmp_path / "run", policy, model={"path": str(policy), "lora": lora}))
    if not missing:
        assert lora_config(setup.config, setup.model, setup.tokenizer).r == 2
        return
    with pytest.raises(ConfigError, match=f"target_modules has {missing}, which .*all-linear, or of .*q_proj"):
        lora_config(setup.config, setup.model, setup.tokenizer)
