# `make demo` shows it, `JIRA_URL=https://... make serve` fronts a real Jira, `make test` is what CI runs.
# `make bench` measures it all and writes docs/benchmarks.md; `make bench PARTS='hits herd'` only prints those.
# Needs python3 (3.11 or newer) and make; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo serve test lint docs bench soak format clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	$(BIN)/jira-cache demo

serve: $(VENV)/serve.stamp
	$(BIN)/jira-cache serve

test: lint
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/serve.stamp
	$(BIN)/python -m proxy.reference

bench: $(VENV)/bench.stamp
	$(BIN)/python -m bench $(PARTS)

soak: $(VENV)/test.stamp
	$(BIN)/python -m soak $(SECONDS)

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# One stamp for each set of extras, so that each command installs no more than it needs, and only once.
$(VENV)/serve.stamp: EXTRAS =
$(VENV)/demo.stamp: EXTRAS = [demo]
$(VENV)/test.stamp: EXTRAS = [test]
$(VENV)/bench.stamp: EXTRAS = [bench]
$(VENV)/%.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo 'This Python cannot make virtual environments: install python3-venv (apt install python3-venv)' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
