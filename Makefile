# Two commands are enough: `make train` and `make test`. Everything they install lies in .venv, everything they
# produce in .pneumo (PNEUMO_HOME moves it).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEVELOPMENT := .venv/.installed-development
SHELL := /bin/sh

.PHONY: train serve test test-slow test-services test-containers check bench kill-test month soak lock docs screenshots sbom up down status clean

# make train [DATA=folder|archive|s3://...|kaggle:...] [PRESET=quick|standard|best] [WEIGHTS=imagenet|folder|s3://...|none]
#     [BACKBONES=A,B] [ARGS="..."]
train: $(STAMP)
	@$(BIN)/pneumo train $(if $(DATA),--data "$(DATA)") $(if $(PRESET),--preset "$(PRESET)") $(if $(WEIGHTS),--weights "$(WEIGHTS)") \
	    $(if $(BACKBONES),--backbones "$(BACKBONES)") $(ARGS)

# The champion over HTTP, by default on loopback: make serve [PORT=5001] [ARGS=--phantom]
serve: $(STAMP)
	@$(BIN)/pneumo serve $(if $(PORT),--port "$(PORT)") $(ARGS)

# Two at a time: much of a test's time is waiting for servers. Where a fault shall be looked at: WORKERS=0.
WORKERS ?= 2
test: check
	$(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

# Whole runs, kills and outages.
test-slow: $(DEVELOPMENT)
	$(BIN)/python -m pytest -q -m slow -n $(WORKERS) $(ARGS)

# The team server for real: Postgres, an S3 server, logins (infra/dev/packages.sh installs them).
test-services: $(DEVELOPMENT)
	$(BIN)/python -m pytest -q -m team tests/team $(ARGS)

# The same in containers, by podman or Docker: images built, started, the main job run. Skipped where neither is.
test-containers: $(DEVELOPMENT)
	$(BIN)/python -m pytest -q -m containers tests/containers $(ARGS)

check: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" infra/dev/check.sh

bench: $(DEVELOPMENT)
	$(if $(DATA),PNEUMO_BENCH_DATA="$(DATA)") $(if $(WEIGHTS),PNEUMO_BENCH_WEIGHTS="$(WEIGHTS)") \
	    $(BIN)/python -m bench $(ARGS)

# Hours on two cores: everything killed at every stage; ROUNDS retrainings with kills and outages drawn from SEED.
kill-test: $(DEVELOPMENT)
	PNEUMO_KILLS="$(POINTS)" $(BIN)/python -m bench kills

# A month of answers, played on real servers (tests/month), and the picture of its page in docs/images.
month: $(DEVELOPMENT)
	MONTH_PICTURE="$(CURDIR)/docs/images/answers.png" $(BIN)/python -m pytest -q -m slow tests/month

ROUNDS ?= 50
SEED ?= 0
soak: $(DEVELOPMENT)
	PNEUMO_SOAK_ROUNDS=$(ROUNDS) PNEUMO_SOAK_SEED=$(SEED) $(if $(FOLDER),PNEUMO_SOAK_HOME="$(FOLDER)") \
	    $(BIN)/python -m bench soak

# Resolve every package together, for all Pythons and systems, without the address of any index; what a user runs is a
# part of what a developer has, at the same versions. UPGRADE=--upgrade moves to the newest.
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-header --quiet
# The images run one Python on one system, so their locks are shorter.
IMAGE := uv pip compile --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --quiet --constraint .ci/development.lock
lock:
	$(COMPILE) $(UPGRADE) --all-extras --group dev --output-file .ci/development.lock
	$(COMPILE) --extra app --extra dicomweb --extra server --extra build --constraint .ci/development.lock --output-file requirements.lock
	$(IMAGE) infra/images/build.in --output-file infra/images/build.lock
	$(IMAGE) infra/images/server.in --output-file infra/images/server.lock
	$(IMAGE) pyproject.toml --extra dicomweb --extra server --extra ray --extra kubernetes --output-file infra/images/worker.lock
	$(IMAGE) infra/images/gpu.in --constraint infra/images/worker.lock | awk '/^[a-z]/{gpu=/^nvidia-/} gpu' >infra/images/gpu.lock

# The documentation as a site, dist/docs/index.html.
docs: $(DEVELOPMENT)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file infra/docs/mkdocs.yml

# The pictures in docs/images, from a real run and a real browser.
screenshots: $(DEVELOPMENT)
	$(BIN)/pneumo train $(if $(DATA),--data "$(DATA)") $(ARGS)
	PYTHONPATH="$(CURDIR)" $(BIN)/python infra/docs/screenshots.py

# Everything that is installed, with versions and licences, in CycloneDX's form.
sbom: $(DEVELOPMENT)
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.json $(BIN)/python

up down status: $(STAMP)
	$(BIN)/pneumo $@

# The locks hold the hash of every package. Bytecode is compiled now, so that nobody waits for it later.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Expected Python 3.11 to 3.13, got %d.%d: make PYTHON=python3.11" % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(call install,--require-hashes -r requirements.lock)
	$(call install,--no-deps --no-build-isolation --editable .)
	touch $@

$(DEVELOPMENT): .ci/development.lock $(STAMP)
	$(call install,--require-hashes -r .ci/development.lock)
	touch $@

install = $(BIN)/python infra/dev/install.py $(1)

clean:
	if test -x $(BIN)/pneumo; then $(BIN)/pneumo down; fi
	rm -rf .venv
