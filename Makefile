# Everything a newcomer types: `make quickstart` and `make test`. Both set up .venv by themselves.

PYTHON ?= python3# 3.11 or newer
EXTRA ?= base# or cuda, on a machine with an NVIDIA GPU
BIN := .venv/bin
RUNS := $(or $(RUNS),runs/quickstart-$(shell date +%Y%m%d-%H%M%S))

.PHONY: quickstart test test-slow lint format constraints clean

quickstart: .venv/installed-$(EXTRA)
	@for memory in s5 gru mlp; do \
		$(BIN)/ssmrl train quickstart --memory.name $$memory --run-dir $(RUNS)/$$memory || exit; \
	done
	@$(BIN)/ssmrl plot $(RUNS)/s5 $(RUNS)/gru $(RUNS)/mlp --out $(RUNS)/curves.png

# A file's tests share what they compile. Compiled as usual, they take 26 to 33 minutes on two cores
# with an empty cache, and so (tests/compiling.py) 11 to 17.
test: lint
	QUICK_COMPILING=1 $(BIN)/pytest -n 2 --dist loadfile

test-slow: .venv/installed-dev
	$(BIN)/pytest -n 2 -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Pins every version for Python 3.11 and newer, as versions and markers without addresses.
constraints: .venv/installed-dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras \
		--no-header --no-annotate --no-emit-index-url pyproject.toml --output-file constraints.txt

.venv/installed-%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ssmrl needs Python 3.11 or newer; name one with PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.$(patsubst %,[%],$(filter-out base,$*))'
	@touch $@

clean:
	rm -rf .venv
