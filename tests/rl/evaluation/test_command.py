"""scripts/evaluate.py with a server and with records: what is finished, and which options go together."""

import json

import pytest
from chat_server import chat_server
from small_runs import script, settings, write_config


def config_file(tmp_path):
    raw = settings(tmp_path / "run", "tiny", rewards=[{"name": "judge"}, {"name": "math"}])
    return str(write_config(tmp_path / "config.json", {**raw, "evaluation": {"problems": 3}}))


@pytest.mark.medium
def test_an_evaluation_with_answers_that_did_not_come_is_not_finished(tmp_path):
    broken = []

    def serve(body, seen):
        first = body["messages"][-1]["content"] == seen.bodies[0]["messages"][-1]["content"]
        if broken and first:
            return {"status": 404}
        return {"content": "7", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}

    config, out = config_file(tmp_path), tmp_path / "served.json"
    with chat_server(serve) as (url, seen):
        broken.append(True)
        part = script("evaluate.py", config, "--server", url, "--out", str(out))
        assert (part.returncode, json.loads(out.read_text())["missing"], len(seen.bodies)) == (1, 3, 9)
        assert "not finished" in part.stderr
        broken.clear()
        whole = script("evaluate.py", config, "--server", url, "--out", str(out))
        assert (whole.returncode, json.loads(out.read_text())["missing"], len(seen.bodies)) == (0, 0, 12)
        again = script("evaluate.py", config, "--server", url, "--out", str(out))
        assert (again.returncode, "already finished" in again.stdout, len(seen.bodies)) == (0, True, 12)
    assert sorted(file.name for file in tmp_path.glob("served*")) == ["served.json", "served.json.settings.json"]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--switch", "enable_thinking"], "--switch"),
        (["--server-model", "default"], "--server-model"),
        (["evaluation.samples=2"], "evaluation.samples"),
    ],
)
def test_what_does_nothing_with_records_is_refused(tmp_path, extra, told):
    records = tmp_path / "records.jsonl"
    records.write_text('{"id": "0", "response": "7", "tokens": 2, "mode": "think"}\n')
    done = script("evaluate.py", config_file(tmp_path), "--records", str(records), "--out", str(tmp_path / "e"), *extra)
    assert (done.returncode, done.stderr.count("\n"), told in done.stderr) == (2, 1, True)
