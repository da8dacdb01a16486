# Two commands for newcomers: `make demo`, `make test`. Everything else is for who works on the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SRC := engine policies adapters bench tests examples
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --quiet
CASES := ../shared/conformance/cel.jsonl

.DEFAULT_GOAL := help
.PHONY: help demo test soak test-heavy check conformance bench bench-full bench-peers wheel constraints clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP) ## set up and run the gateway before a bundled upstream: three calls, then it stays up
	$(BIN)/interlock demo $(DEMO)

test: $(STAMP) ## set up and run a seed of every suite (10 minutes at most on 2 cores)
	$(BIN)/python -m pytest -n 3 --dist worksteal -q

soak: $(STAMP) ## run the full numbers
	$(BIN)/python -m pytest -q -m soak

test-heavy: $(STAMP) ## run what needs over 100 MB of tools
	$(BIN)/python -m pytest -q -m heavy

check: $(STAMP) ## lint, types, import law
	$(BIN)/ruff check $(SRC)
	$(BIN)/ruff format --check $(SRC)
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(STAMP) ## run the CEL specification's cases (CASES=FILE, JSON Lines)
	$(BIN)/python -m tests.engine.expr.conformance $(CASES)

bench: $(STAMP) ## measure beside a bare aiohttp proxy and nginx, in one run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python -m bench $(BENCH)

bench-full: $(STAMP) ## the same with every rate, and memory over 200,000 requests
	$(BIN)/python -m bench --full

bench-peers: $(STAMP) ## install LiteLLM, Portkey and Envoy to measure beside (1 GB), each on its own
	$(BIN)/python -m bench.fetch_peers

wheel: $(STAMP) ## build the wheel
	$(BIN)/python -m build --wheel --no-isolation

constraints: ## lock versions anew, without naming any index
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) pyproject.toml --all-extras -o constraints.txt
	$(LOCK) bench/peers/litellm/requirements.in -o bench/peers/litellm/requirements.txt

clean: ## remove what was built
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/out bench/peers/*/.venv bench/peers/*/node_modules tests/adapters/remotes/analyzer/.venv
