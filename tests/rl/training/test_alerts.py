"""Every alarm is a W&B alert of its own. W&B runs for real, offline; its file has the titles as they are."""

import pytest
import wandb
from small_runs import save_policy, small_config

from rewards.plugin import RewardError
from rl.config.read import parse_config
from rl.training.alarms import PATIENCE
from rl.training.journal import Journal
from rl.training.run import set_up, train

SILENT = {"groups/informative": 0.0, "reward/broken_share": 1.0, "score/math": 0.0, "loss": 0.1}
DYING = "step 9: think is dying: chosen at 0.0% for 10 steps"
LATE = "def late(rollout, step):\n    assert step < 2, 'the judge is away'\n    return 1.0\n"


def recorded(folder):
    """The file of the run, whole: W&B's own process writes it out when it ends."""
    wandb.teardown()
    (file,) = (folder / "wandb").glob("offline-run-*/run-*.wandb")
    return file.read_bytes().decode("utf-8", "replace")


@pytest.mark.medium
def test_nan_silent_groups_unpaid_and_failing_rewards_and_a_dying_mode_are_alerts(tmp_path):
    journal = Journal()
    journal.open(parse_config({"run_dir": str(tmp_path / "run"), "wandb": {"mode": "offline"}}), 0)
    journal.step(1, {"loss": float("nan")})
    for step in range(2, 2 + PATIENCE):
        journal.step(step, SILENT)
    journal.alarm(DYING)
    journal.close()
    text = recorded(tmp_path / "run")
    for title in (
        "run: the loss or its gradient is not finite",
        "run: no group has had an advantage for 10 steps",
        "run: the reward 'math' has paid nothing for 10 steps",
        "run: every reward has failed for 10 steps",
        f"run: {DYING}",
    ):
        assert title in text


@pytest.mark.medium
def test_a_run_that_failing_rewards_end_says_so_in_an_alert_and_how_to_sync(tmp_path, capsys):
    (tmp_path / "late.py").write_text(LATE)
    config = small_config(
        tmp_path / "run",
        save_policy(tmp_path / "policy"),
        rewards=[{"name": "judge"}, {"name": f"{tmp_path}/late.py:late"}],
        data={"max_bad_gold": 1.0},
        wandb={"mode": "offline"},
    )
    with pytest.raises(RewardError, match="the judge is away"):
        train(set_up(config, show=lambda line: None))
    assert "run: the run has ended: " in recorded(tmp_path / "run")
    assert f"wandb sync {tmp_path}/run/wandb/offline-run-*-" in capsys.readouterr().out
