"""EasyDistill's job files as they are, against a real server; what is none of them is refused by name."""

from __future__ import annotations

import json

import pytest
from chat_server import chat_server
from real_templates import save_real

from rl.config.errors import ConfigError
from rl.distillation.chains import tagged
from rl.distillation.formats import read_chains
from rl.distillation.job_pipeline import filled
from rl.distillation.job_run import run_job
from rl.distillation.jobs import read_job
from rollout.errors import UserError

TEMPLATE = (
    "<|im_start|>user\n{{ message['content'] }}<|im_end|>\n<|im_start|>assistant\n"
    "{% if add_output %}{{ message['output'] }}<|im_end|>{% endif %}"
)

SYSTEM = "You are a helpful assistant."


def teach(body, seen):
    text = body["messages"][-1]["content"]
    if "<score>N</score>" in text:
        score = 1 if "Is the solution" in text else 4
        return {"content": f"<score>{score}</score>"}
    return {"content": tagged("3 and 4 are 7", "7")}


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def first(tmp_path, url, kind, **sections):
    """A job of 1.0 as EasyDistill's own example files have it."""
    inference = {"base_url": url, "api_key": "TOKEN", "stream": True, "max_new_tokens": 64}
    job = {"job_type": kind, "dataset": {}, "inference": inference}
    for name, values in sections.items():
        job[name] = {**job.get(name, {}), **values}
    return write(tmp_path / "job.json", job)


def files(tmp_path, rows):
    return {"input_path": str(write(tmp_path / "in.json", rows)), "output_path": str(tmp_path / "out.json")}


def quiet(line):
    """Say nothing."""


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")


@pytest.mark.medium
def test_generation_asks_the_first_model_with_the_whole_prompt_and_is_not_paid_twice(tmp_path, key):
    rows = [{"instruction": "3+4?"}, {"instruction": "3+5?"}, {"other": 1}]
    told = []
    with chat_server(teach) as (url, seen):
        job = first(tmp_path, url, "cot_generation_api", dataset=files(tmp_path, rows), inference={"prompt": "Think:"})
        run_job(job, told.append)
        run_job(job, quiet)
        # The same file asked with other words: its answers are of other questions.
        other = first(tmp_path, url, "cot_generation_api", dataset=files(tmp_path, rows), inference={"prompt": "Say:"})
        with pytest.raises(UserError, match="questions has other contents"):
            run_job(other, quiet)
    assert len(seen.bodies) == 2
    assert (seen.bodies[0]["model"], seen.bodies[0]["max_tokens"]) == ("served", 64)
    assert set(seen.keys) == {"Bearer sk-environment"}
    made = json.loads((tmp_path / "out.json").read_text())
    assert made[0] == {"instruction": "Think:\n3+4?", "output": tagged("3 and 4 are 7", "7")}
    assert any("api_key is not read" in line for line in told)
    assert any("1 of 3 rows left out" in line for line in told)
    (one, _) = read_chains(tmp_path / "out.json")
    assert (one.thought, one.solution) == ("3 and 4 are 7", "7")


@pytest.mark.medium
@pytest.mark.parametrize(("kind", "word"), [("cot_long2short_api", "Simplify"), ("cot_short2long_api", "Extend")])
def test_rewriting_asks_in_easydistills_words(tmp_path, key, kind, word):
    rows = [{"instruction": "3+4?", "output": "long thoughts"}]
    with chat_server(teach) as (url, seen):
        run_job(first(tmp_path, url, kind, dataset=files(tmp_path, rows), inference={"prompt": "You rewrite."}), quiet)
    text = seen.bodies[0]["messages"][0]["content"]
    start = (
        f"You rewrite. {word} the reasoning process for the problem below.\n\nProblem:\n3+4?\n\nAnswer:\nlong thoughts"
    )
    assert text.startswith(start)
    assert json.loads((tmp_path / "out.json").read_text().splitlines()[0])["instruction"] == text


@pytest.mark.medium
def test_scoring_adds_three_scores_and_counts_what_it_cannot_read(tmp_path, key):
    rows = [{"instruction": "3+4?", "output": tagged("3 and 4 are 7", "7"), "kept": [1]}]

    def answer(body, seen):
        return {"content": "quite hard"} if "difficult" in body["messages"][-1]["content"] else teach(body, seen)

    told = []
    with chat_server(answer) as (url, _):
        run_job(first(tmp_path, url, "cot_eval_api", dataset=files(tmp_path, rows)), told.append)
    scores = {"reasoning_verbosity": 4, "cognitive_difficulty": -1, "logical_correctness": 1}
    assert json.loads((tmp_path / "out.json").read_text()) == [{**rows[0], **scores}]
    assert "scores: 2 read, 1 unknown (-1)" in told


@pytest.mark.medium
def test_black_box_distillation_labels_and_tunes_the_student(tmp_path, key):
    questions = write(tmp_path / "in.json", [{"instruction": "3+4?"}, {"instruction": "3+5?"}])
    dataset = {
        "instruction_path": str(questions),
        "labeled_path": str(tmp_path / "labeled.json"),
        "template": str(write(tmp_path / "chat.jinja", TEMPLATE)),
        "seed": 42,
    }
    training = {
        "output_dir": str(tmp_path / "result"),
        "num_train_epochs": 1,
        "per_device_train_batch_size": 1,
        "max_length": 256,
        "save_steps": 1000,
        "learning_rate": 2e-5,
        "warmup_ratio": 0.1,
        "lr_scheduler_type": "cosine",
    }
    models = {"student": str(save_real("qwen3", tmp_path / "student"))}
    with chat_server(teach) as (url, seen):
        parts = {"dataset": dataset, "models": models, "training": training}
        job = first(tmp_path, url, "kd_black_box_api", **parts, inference={"system_prompt": SYSTEM})
        for _ in range(2):
            run_job(job, quiet)
    assert len(seen.bodies) == 2
    assert seen.bodies[0]["messages"][0] == {"role": "system", "content": SYSTEM}
    assert (tmp_path / "result" / "model.safetensors").is_file()
    raw = json.loads(job.read_text())
    raw |= {"job_type": "kd_black_box_train_only", "models": models}
    del raw["inference"], raw["dataset"]["instruction_path"]
    raw["training"]["output_dir"] = str(tmp_path / "again")
    run_job(write(tmp_path / "again.job", raw), quiet)
    first_, again = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("result", "again"))
    assert first_ == again != (tmp_path / "student" / "model.safetensors").read_bytes()


@pytest.mark.medium
def test_a_model_of_this_machine_answers_a_rendered_template_and_goes_on(tmp_path):
    rows = [{"instruction": "3+4?"}, {"instruction": "3+5?"}]
    job = {
        "job_type": "cot_generation_batch",
        "dataset": {**files(tmp_path, rows), "template": str(write(tmp_path / "chat.jinja", TEMPLATE))},
        "models": {"teacher": str(save_real("qwen3", tmp_path / "teacher"))},
        "inference": {"prompt": "Think:", "max_new_tokens": 4, "temperature": 0.8, "seed": 777, "max_model_len": 64},
    }
    run_job(write(tmp_path / "job.json", job), quiet)
    kept = (tmp_path / "out.json.rows.jsonl").read_bytes()
    made = [json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()]
    assert [row["instruction"] for row in made] == ["Think:\n3+4?", "Think:\n3+5?"]
    run_job(tmp_path / "job.json", quiet)
    assert (tmp_path / "out.json.rows.jsonl").read_bytes() == kept
    files(tmp_path, [{"instruction": "Capital of France?"}, rows[1]])
    with pytest.raises(UserError, match="questions has other contents"):
        run_job(tmp_path / "job.json", quiet)
    assert [json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()] == made


PIPELINE = """
job_type: advanced_cot_distill
backend: {type: openai, api_key: "${OPENAI_API_KEY}", base_url: "URL", model_id: m}
generation: {system_prompt: Be good., temperature: 0.7, max_tokens: 64}
sft: {skip_empty: true, min_length: 1, max_length: 8192}
eval: {metrics: [reasoning_verbosity], temperature: 0.0, max_tokens: 32, max_workers: 2}
pipeline:
  - {stage: cot_distill, config: {max_workers: 2, show_progress: true}, output_path: FOLDER/one.jsonl}
  - {stage: cot_rvcd_score, config: {}, output_path: FOLDER/two.jsonl}
  - {stage: cot_mix_by_rv_cd, config: {cd_bins: [0, 3, 6, 10], samples_per_bin: 1}, output_path: FOLDER/three.jsonl}
  - {stage: build_sft, config: {}}
dataset: {input_path: FOLDER/in.jsonl, output_path: FOLDER/sft.jsonl}
"""


@pytest.mark.medium
def test_a_pipeline_of_the_second_version_generates_scores_mixes_and_builds(tmp_path, key):
    write(tmp_path / "in.jsonl", '{"problem": "3+4?"}\n{"problem": "5+5?"}\n')
    with chat_server(teach) as (url, seen):
        text = PIPELINE.replace("URL", url).replace("FOLDER", str(tmp_path))
        job = write(tmp_path / "job.yaml", text)
        run_job(job, quiet)
        asked = len(seen.bodies)
        run_job(job, quiet)
        assert len(seen.bodies) == asked == 8
    rows = {
        n: [json.loads(x) for x in (tmp_path / f"{n}.jsonl").read_text().splitlines()] for n in ("two", "three", "sft")
    }
    assert [row["reasoning_verbosity"] for row in rows["two"]] == [4, 4]
    assert [(row["cd_bin"], row["rv_target"]) for row in rows["three"]] == [(1, 6.0)]
    (row,) = rows["sft"]
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][1]["content"] == "3+4?"
    assert row["metadata"] == {"source": "teacher_model", "model": "teacher", "request_id": "0"}


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"job_type": "rl_grpo"}, "job_type is 'rl_grpo'; allowed: cot_generation_api"),
        ({"job_type": "mmkd_black_box_api"}, "job_type is 'mmkd_black_box_api'"),
        ({"dataset": {}}, "job_type is None"),
        (
            {"job_type": "cot_eval_api", "inference": {"bas_url": "x", "y": 1}},
            "inference.bas_url, inference.y; did you",
        ),
        ({"job_type": "cot_eval_api", "pipline": []}, "unknown key pipline"),
        ({"job_type": "cot_eval_api", "inference": 3}, "inference is 3"),
        (
            {"job_type": "advanced_cot_distill", "pipeline": [{"stage": "quality_filter"}]},
            r"pipeline\[0\].stage is 'quality_filter'",
        ),
        (
            {"job_type": "advanced_cot_distill", "pipeline": [{"stage": "cot_distill", "config": {"temp": 1}}]},
            r"unknown key pipeline\[0\].config.temp",
        ),
        (
            {"job_type": "advanced_cot_distill", "pipeline": [{"stage": "cot_distill"}]},
            "the last stage is 'cot_distill'",
        ),
        ({"job_type": ["cot_eval_api"]}, "job_type is .*; allowed: cot_generation_api"),
        ({"job_type": "advanced_cot_distill", "pipeline": [{"stage": ["x"]}]}, r"pipeline\[0\].stage is \['x'\]"),
        (
            {"job_type": "advanced_cot_distill", "pipeline": [{"stage": "cot_distill", "config": 5}]},
            r"pipeline\[0\].config is 5",
        ),
        ("job_type: [", "neither JSON nor YAML"),
        ("- 1", "holds a list"),
        ('{"job_type": "cot_generation_api", "job_type": "cot_eval_api"}', "the key 'job_type' twice"),
    ],
)
def test_what_is_no_job_of_ours_is_named(tmp_path, job, message):
    with pytest.raises(ConfigError, match=message):
        read_job(write(tmp_path / "job.yaml", job))


def test_training_keys_that_are_none_are_named_before_anyone_is_asked(tmp_path, key):
    with chat_server(teach) as (url, seen):
        dataset = {"instruction_path": "x", "labeled_path": "y", "template": str(write(tmp_path / "t.jinja", TEMPLATE))}
        training = {"output_dir": "z", "learnin_rate": 1, "other": 2}
        job = first(tmp_path, url, "kd_black_box_api", dataset=dataset, models={"student": "s"}, training=training)
        with pytest.raises(ConfigError, match=r"training\.learnin_rate, training\.other"):
            run_job(job, quiet)
    assert not seen.bodies


def test_a_prompt_template_leaves_the_braces_of_a_problem_alone():
    assert filled("{{thought}} {problem} {other}", problem="f{{x}} {answer}") == "{thought} f{{x}} {answer} {other}"
