# Two commands are enough: `make train` and `make test`. Everything they install lies in .venv, everything they
# produce in .pneumo (PNEUMO_HOME moves it).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SHELL := /bin/sh

.PHONY: train test check bench lock up down status clean

# make train [DATA=folder|archive|s3://...|kaggle:...] [WEIGHTS=imagenet|folder|s3://...|none] [BACKBONES=A,B] [ARGS="..."]
train: $(STAMP)
	$(BIN)/pneumo train $(if $(DATA),--data "$(DATA)") $(if $(WEIGHTS),--weights "$(WEIGHTS)") \
	    $(if $(BACKBONES),--backbones "$(BACKBONES)") $(ARGS)

test: check
	$(BIN)/python -m pytest -q $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m bench $(ARGS)

# Resolve every package together, for all Pythons and systems, without the address of any index.
lock: $(STAMP)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock

up down status: $(STAMP)
	$(BIN)/pneumo $@

# The lock holds the hash of every package. Bytecode is compiled now, so that nobody waits for it later.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Expected Python 3.11 to 3.13, got %d.%d: make PYTHON=python3.11" % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	if command -v uv >/dev/null; then \
	    uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock && \
	    uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . ; \
	else \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	fi
	touch $(STAMP)

clean:
	if test -x $(BIN)/pneumo; then $(BIN)/pneumo down; fi
	rm -rf .venv
