# rowcast: `make help` lists what there is. Needs Python 3.11 to 3.13 and make; everything else is set up here.

MAKEFLAGS += --no-print-directory
BIN := .venv/bin
STAMP := .venv/.set-up
OLDER_STAMP := .venv/older/.set-up
SVIX_STAMPS := $(patsubst tests/protocol/svix-%.txt,.venv/svix-%/.set-up,$(wildcard tests/protocol/svix-*.txt))
JS_STAMP := tests/js/node_modules/.set-up
BENCH_JS_STAMP := benchmarks/js/node_modules/.set-up
# Another Python: make setup PYTHON=/path/to/python3.12. Flags for `dev`, `test` and `bench`: make dev ARGS="--port 0".
PYTHON ?=
ARGS ?=
# Tests wait half of their time: one process more than there are processors.
PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# How long `fuzz` stays with each reader, in seconds.
FUZZ_S ?= 60

.PHONY: help setup setup-js setup-older setup-bench-js dev test check check-style check-types check-imports check-house fast fuzz format docs bench bench-quick lock clean
.DEFAULT_GOAL := help

help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything in it, from the hashed lock

$(STAMP): requirements.lock pyproject.toml tools/find_python.sh
	@set -e; python="$$(PYTHON='$(PYTHON)' sh tools/find_python.sh)"; \
	echo "Setting up .venv with $$("$$python" --version). The first time takes a minute."; \
	"$$python" -m venv .venv || { echo "Python has no venv module here. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup-js: $(JS_STAMP)

$(JS_STAMP): $(wildcard tests/js/package-lock.json)
	@if ! command -v npm >/dev/null 2>&1; then \
		echo "!! npm is not here: the tests with the stock JavaScript client will be SKIPPED. Install Node.js 20 to run them." >&2; \
	elif [ ! -f tests/js/package-lock.json ]; then \
		echo "!! tests/js/package-lock.json is not here: the tests with the stock JavaScript client will be SKIPPED." >&2; \
	else \
		(cd tests/js && npm ci --silent --no-audit --no-fund) && touch $(JS_STAMP); \
	fi

setup-older: $(OLDER_STAMP) $(SVIX_STAMPS)

.venv/svix-%/.set-up: tests/protocol/svix-%.txt $(STAMP)
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target .venv/svix-$* -r $<; then \
		touch $@; \
	else \
		echo "!! svix $* cannot be had: the tests with it will be SKIPPED. Run: make setup-older" >&2; \
	fi

$(OLDER_STAMP): $(STAMP) tests/protocol/older-python-client.txt
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target .venv/older -r tests/protocol/older-python-client.txt; then \
		touch $(OLDER_STAMP); \
	else \
		echo "!! The older Python client cannot be had: the tests with it will be SKIPPED. Run: make setup-older" >&2; \
	fi

dev: $(STAMP) ## start everything: PostgreSQL, a sample shop, a live page (Ctrl-C leaves nothing running)
	@exec $(BIN)/rowcast dev $(ARGS)

test: $(STAMP) setup-js setup-older check ## all checks and all tests, from a clean clone with no service running
	@$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m "not nightly" --ignore tests/architecture $(ARGS)

check: $(STAMP) ## style, types, import rules and house rules, in seconds
	@$(MAKE) -j4 -O -k check-style check-types check-imports check-house

check-style:
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; echo "Run: make format"; exit 1; }

check-types:
	@$(BIN)/mypy --no-error-summary

check-imports:
	@said="$$($(BIN)/lint-imports --no-logo 2>&1)" || { echo "$$said"; exit 1; }

check-house:
	@$(BIN)/pytest -q -p no:cacheprovider tests/architecture

fast: $(STAMP) ## unit and architecture tests only: no database, no network
	@$(BIN)/pytest -q -n auto tests/unit tests/architecture $(ARGS)

fuzz: $(STAMP) ## feed junk to the readers of what strangers send, FUZZ_S=60 seconds each; what breaks one lies in .fuzz/
	@for target in frames messages filters topics webhooks; do \
		mkdir -p .fuzz/$$target && \
		$(BIN)/python -m tests.fuzz $$target .fuzz/$$target -artifact_prefix=.fuzz/$$target- -max_total_time=$(FUZZ_S) \
			-print_final_stats=1 || exit 1; \
	done

format: $(STAMP) ## write what the checks can correct by themselves
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

docs: $(STAMP) ## build the documentation into site/, strictly
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "site/index.html"

setup-bench-js: $(BENCH_JS_STAMP)

$(BENCH_JS_STAMP): benchmarks/js/package-lock.json
	@if command -v npm >/dev/null 2>&1; then \
		(cd benchmarks/js && npm ci --silent --no-audit --no-fund) && touch $(BENCH_JS_STAMP); \
	else \
		echo "!! npm is not here: rowcast will NOT be compared with graphile-worker and node ws. Install Node.js 20 to do so." >&2; \
	fi

bench: $(STAMP) setup-bench-js ## measure, each figure beside its baseline, and print the tables
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(STAMP) setup-bench-js ## a look at the spine in about three minutes
	@$(BIN)/python -m benchmarks --quick $(ARGS)

lock: ## write requirements.lock anew from pyproject.toml (needs uv on the PATH)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group test --group check --group docs --group bench --group build pyproject.toml -o requirements.lock

clean: ## remove what the commands above have made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .fuzz site dist tests/js/node_modules benchmarks/js/node_modules
