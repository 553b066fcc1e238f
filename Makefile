# Every target does its own set-up: a clean checkout needs only Python >= 3.11, git and make.
PYTHON ?= python3
NEWER ?= python3.12
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := $(VENV)/.bench
PEER := .venv-peer
# `make bench` and its kin: how often, how long (seconds of a load, minutes of the soak), and where the figures go.
ROUNDS ?= 3
SECONDS ?= 3
ARMS ?=
BACKLOG ?= 10000
MINUTES ?= 5
MESSAGES ?= 100000
EACH ?= 1000
RESULTS ?= var

.PHONY: help setup demo test fuzz referee lint format docs serve chaos lock wheel verifier clean bench bench-growth bench-page soak bench-early-warning bench-ledger
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(INSTALLED)  ## make .venv with every dependency, versions and hashes pinned

# pip checks each archive against the hashes; the project itself is built with the pinned backend, not a fetched one.
$(INSTALLED): locks/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	touch $@

demo: $(INSTALLED)  ## two simulated agencies exchange messages through a real gateway; runs to the end
	$(BIN)/sinergi demo

test: $(INSTALLED)  ## every test; PostgreSQL is started by the tests themselves
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

fuzz: $(INSTALLED)  ## the properties on examples that no run has tried yet
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile=search -m hypothesis

referee:  ## an outside verifier reads a ledger made here; needs a Python >= 3.12, as in NEWER=python3.13
	$(MAKE) setup VENV=.venv-referee PYTHON=$(NEWER)
	.venv-referee/bin/python -m pytest -p no:xdist tests/ledger/test_referee.py

lint: $(INSTALLED)  ## formatting, rules, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED)  ## rewrite the pages of docs/reference that are made from the code
	$(BIN)/python scripts/make_docs.py

serve: $(INSTALLED)  ## a gateway for trying things out, with its state in var/
	test -f var/sinergi.toml || $(BIN)/sinergi init var
	$(BIN)/sinergi serve --config var/sinergi.toml

chaos: $(INSTALLED)  ## kill -9 the gateway under load, 50 rounds on each database
	$(BIN)/python -m pytest tests/chaos -p no:xdist --chaos-rounds=50

# What the benchmarks need beside the tests' dependencies, and the peer's own environment: its versions exclude the gateway's.
$(BENCH): locks/bench.txt $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/bench.txt
	touch $@

$(PEER)/.installed: locks/peer.txt
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/peer.txt
	touch $@

bench: $(BENCH) $(PEER)/.installed  ## the gateway beside its floors and its peer: one table, one JSON; shorter with ROUNDS=1 SECONDS=1
	$(BIN)/python -m benchmarks.bench --rounds $(ROUNDS) --seconds $(SECONDS) --backlog $(BACKLOG) --arms "$(ARMS)" --peer $(PEER)/bin/python --json $(RESULTS)/bench.json

bench-growth: ROUNDS = 9
bench-growth: $(BENCH)  ## what the same gateway costs at 1,000, 100,000 and 1,000,000 entries, and its memory over 100,000 messages
	$(BIN)/python -m benchmarks.growth --rounds $(ROUNDS) --each $(EACH) --messages $(MESSAGES) --json $(RESULTS)/growth.json --plot $(RESULTS)/growth.svg

soak: $(BENCH)  ## load that must be survived, on PostgreSQL: senders, slow clients, 1 MiB messages, overload; MINUTES=5
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --json $(RESULTS)/soak.json

bench-early-warning: $(INSTALLED)  ## how long an early warning takes past 10,000 waiting messages
	$(BIN)/python -m benchmarks.early_warning_backlog

bench-ledger: $(INSTALLED)  ## a ledger of 10,000,000 entries on disk: append, prove, audit, search; takes half an hour and 36 GB
	$(BIN)/python -m benchmarks.ledger --json var/bench-ledger.json

bench-page: $(INSTALLED)  ## rewrite the figures of docs/explanation/performance.md from benchmarks/results
	$(BIN)/python scripts/make_performance.py

lock: $(INSTALLED)  ## resolve the dependencies again and rewrite both lock files
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o locks/runtime.txt
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -c locks/runtime.txt -o locks/dev.txt
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --group dev --group bench pyproject.toml -c locks/dev.txt -o locks/bench.txt
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header benchmarks/peer.in -o locks/peer.txt

wheel: $(INSTALLED)  ## build dist/*.whl, schemas and agreements inside
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index -w dist .

verifier: $(INSTALLED)  ## build dist/sinergi-verify.pyz, which checks evidence with Python and cryptography alone
	$(BIN)/python scripts/build_verifier.py

clean:  ## remove everything that was made, the virtual environment included
	rm -rf $(VENV) .venv-referee $(PEER) dist build sinergi-demo var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
