# `make` sets up .venv and prints the verdicts; `make test` runs the tests. Both share one set-up.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: claims test lint real-bugs clean
claims: .venv/installed
	$(BIN)/veriformer claims

test: .venv/installed
	$(BIN)/pytest -n auto

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .venv/typing/veriformer
	for room in reference derivations properties claims; do ln -sfn ../../../$$room .venv/typing/veriformer/$$room; done
	$(BIN)/pyright

# Real bugs of other libraries, each on the release that had it and on the one that mended it: BUGS="name …" for some.
real-bugs: .venv/installed
	$(BIN)/python tests/real_bugs/run.py $(BUGS)

clean:
	rm -rf .venv .real_bugs build *.egg-info

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("veriformer needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
