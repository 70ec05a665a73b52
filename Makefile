# Every recipe sets up what it needs: only Python 3.11+, make and a network are asked of the machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
# The system tier waits a good part of its time, for processes and brokers that start: one worker more than the cores
# takes 26 minutes on two of them where two workers took 33.
SYSTEM_WORKERS ?= $(shell expr $(WORKERS) + 1)
# The many processes of a recipe share their byte code, also where the environment forbids to write any.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## list the recipes
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# TORCH=cpu: torch without CUDA's libraries, from PyTorch's own index; the lock holds the hashes of the CUDA build, so
# that one package is pinned by its version alone, as in docker/Dockerfile. `make clean` goes from one to the other.
TORCH ?= cuda
ifeq ($(TORCH),cpu)
SIZE := about 3 GB, without CUDA
INSTALL = $(BIN)/python docker/requirements.py laptop < requirements.lock > .venv/cpu.txt && \
  VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes .venv/cpu.txt && \
  VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --torch-backend=cpu \
    "$$($(BIN)/python docker/requirements.py pin torch < requirements.lock)"
else
SIZE := about 7.5 GB, 5.2 of them CUDA, torch and triton; TORCH=cpu spares most of it
INSTALL = VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
endif

.venv/ready: requirements.lock pyproject.toml
	@echo "setting up .venv ($(SIZE); once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Driftline needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=python3.12, say."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(INSTALL)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

.PHONY: setup
setup: .venv/ready ## the environment and Kafka's jars, and nothing else
	@$(BIN)/driftline broker --fetch

.PHONY: demo
demo: setup ## the whole system on real data; TORCH=cpu sets up without CUDA
	@$(BIN)/driftline demo $(ARGS)

PYTEST = $(BIN)/pytest --dist worksteal

.PHONY: test
test: setup ## units and contracts on one broker and one store: minutes; ARGS="-k judge"
	@$(PYTEST) -n $(WORKERS) -m "not system" $(ARGS)

.PHONY: test-all
test-all: test ## and the system tier: whole paths, security, faults; no Docker, no GPU
	@$(PYTEST) -n $(SYSTEM_WORKERS) -m system $(ARGS)

.PHONY: faults
faults: setup ## 200 seeded faults on the whole system, a kill at every line; ARGS=--faults-seed=7
	@$(BIN)/pytest -s tests/system/faults --faults-runs=200 $(ARGS)

SECONDS ?= 60
SEED ?= 1
.PHONY: storm
storm: setup ## `up` under kill -9 and SIGSTOP while plain clients count; SECONDS=60 SEED=1
	@$(BIN)/python -m benchmarks.storm --seconds $(SECONDS) --seed $(SEED) $(ARGS)

.PHONY: bench
bench: setup ## the log against a bare loop, stock Faust and peers (15 min); ARGS="--only path"
	@$(BIN)/python -m benchmarks.log $(ARGS)

.PHONY: check
check: .venv/ready ## style, types, the arrows between the packages
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

.PHONY: house
house: .venv/ready ## the structure in figures: rooms, floors, circles, long functions; ARGS=--list
	@$(BIN)/python -m benchmarks.house $(ARGS)

# The theme warns of a future mkdocs at every build; ours is pinned. Not --quiet:
# it drops the warnings that --strict counts. After the first build it works without a network.
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/uv tool run --from mkdocs==1.6.1 --with mkdocs-material==9.8.1 \
  mkdocs build --strict $(ARGS)
.PHONY: docs
docs: .venv/ready ## the pages made from code, then the site: build/site/index.html
	@$(BIN)/python -m docs.generate
	@$(SITE)

.PHONY: site
site: .venv/ready # the site alone
	@$(SITE)

# Each tool in an environment of its own. `--strict`: a package that the advisories' server does not know is a failure, and
# not, as by default, a line below "No known vulnerabilities found".
.PHONY: audit
audit: .venv/ready ## known vulnerabilities in the locked dependencies, dangerous calls in our code
	@$(BIN)/uv tool run --from 'bandit[toml]==1.9.4' bandit -q -c pyproject.toml -ll -ii \
	  -r streams inference drift dashboards driftline docker
	@$(BIN)/uv tool run --from pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip -r requirements.lock

.PHONY: lock
lock: ## resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --no-emit-index-url \
	  --generate-hashes --no-header --quiet --output-file requirements.lock $(ARGS)
	@sed -i '1i # Every dependency of every role and of the tests, for Python 3.11 to 3.13. Made by `make lock`.' requirements.lock

.PHONY: clean
clean: ## remove the environment and what the tools left
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache dist build *.egg-info
