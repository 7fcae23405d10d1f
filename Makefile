# Everything that a developer or CI runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON3 ?= python3
PYTHON  := .venv/bin/python
STAMP   := .venv/.installed
RUNS    := .venv/.runs
MADE_OF := .venv/.made-of
WHICH   := import sys; print(sys.base_prefix, *sys.version_info[:3])
PYTEST  := $(PYTHON) -m pytest

.PHONY: FORCE help system demo test check test-fast test-kafka coverage simulate attack chaos soak bench bench-quick compiled test-compiled docs format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

# A .venv of another Python than PYTHON3 is made again. The file says of which it is, and is new when that is.
$(MADE_OF): FORCE
	@wanted="$$($(PYTHON3) -c '$(WHICH)')"; \
	if test "$$($(PYTHON) -c '$(WHICH)' 2>/dev/null)" != "$$wanted"; then \
		$(PYTHON3) -m venv --clear .venv && echo "$$wanted" > $@; \
	elif ! test -e $@; then \
		echo "$$wanted" > $@ && touch -t 200001010000 $@; \
	fi

$(STAMP): pyproject.toml $(MADE_OF)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -e '.[dev,snappy]'
	touch $@ $(RUNS)

system: ## what tests need besides Python: installed as root on Debian, else told
	@PYTHON3='$(PYTHON3)' scripts/system

# What a program needs and no more: seconds instead of a minute for somebody who only wants to look.
$(RUNS): $(MADE_OF)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -e .
	touch $@

demo: $(RUNS) ## send in all three ways, read back: the embedded cluster, or BOOTSTRAP=host:port
	$(PYTHON) -m aioproducer demo $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP))

test: $(STAMP) ## check, test-fast and test-kafka, within a limit of CPU time; REQUIRE_ALL=1 fails where a program is missing
	@$(PYTHON) scripts/run_tests.py

check: $(STAMP) ## style, types, layers, and that each row of the scenario table names a test that exists
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pyright
	PYTHONPATH=$(CURDIR) $(PYTHON) -m pyright --verifytypes aioproducer --ignoreexternal
	.venv/bin/lint-imports
	$(PYTEST) -q tests/scenarios

test-fast: $(STAMP) ## every test that needs no Java
	$(PYTEST) -m 'not kafka' -n auto --dist loadfile

test-kafka: $(STAMP) ## the tests that need a real Kafka or its jars
	$(PYTEST) -m kafka

test-long: $(STAMP) ## the long forms: a crash in every phase of a transaction, 10000 transfers; SEED=, TRANSFERS=
	LONG=1 SEED=$(SEED) TRANSFERS=$(TRANSFERS) $(PYTEST) tests/kafka/test_transactions_killed.py tests/transfer

coverage: $(STAMP) ## what unit and contract tests reach on asyncio alone; fails below the floor (whether they pass is for make test)
	mkdir -p build/coverage
	-$(PYTHON) -m coverage run -m pytest -q -m 'not kafka' -k 'not uvloop and not trio' tests/unit tests/contract
	$(PYTHON) -m coverage report

simulate: $(STAMP) ## the core against the brokers' core: SEEDS= histories (10000) from seed START= (0)
	$(PYTHON) -m tests.simulation --seeds $(or $(SEEDS),10000) --start $(or $(START),0)

attack: $(STAMP) ## all that may be done to a producer, one process each; MINUTES= (60), ATTACKED= another Python
	$(PYTHON) -m tests.attack --minutes $(or $(MINUTES),60) $(if $(ATTACKED),--python $(ATTACKED))

chaos: $(STAMP) ## ten minutes of faults on a real Kafka, and a table of what came of it; SEED=, MINUTES=, LOOP=trio
	@SEED=$(SEED) MINUTES=$(MINUTES) LOOP=$(LOOP) $(PYTHON) -m scripts.chaos

soak: $(STAMP) ## a million sends through failures: memory stays flat, nothing is lost; RECORDS=, SEED=, LOOP=trio
	@RECORDS=$(RECORDS) SEED=$(SEED) LOOP=$(LOOP) $(PYTHON) -m scripts.soak

bench: $(STAMP) ## other clients beside this one, all targets, plots (half an hour); CASES='tasks-* zstd', ROUNDS=
	$(PYTHON) -m benchmarks $(if $(CASES),--case $(CASES),--checks --docs) --rounds $(or $(ROUNDS),3)

bench-quick: $(STAMP) ## a few of the cases, one round (three minutes)
	$(PYTHON) -m benchmarks --quick

compiled: $(STAMP) ## a wheel whose hot modules are compiled (mypyc), in dist/; needs a C compiler
	$(PYTHON) -m scripts.compiled build

test-compiled: $(STAMP) ## unit tests, simulations and the embedded contract suite on that wheel
	$(PYTHON) -m scripts.compiled test

docs: $(STAMP) ## the pages as a site, in site/; fails on whatever is wrong in them
	$(PYTHON) -m zensical build --clean --strict

format: $(STAMP) ## put the code into shape
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean: ## remove what the tools left behind, the virtual environment excepted
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
