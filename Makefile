# kdgov: the commands a person needs. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
# A machine with a GPU sets TORCH to its own build; see README, "Installing".
TORCH  ?= torch==2.13.0
RUN    := $(VENV)/bin/
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev system release unsafe black-box fast core test lint ci nightly bench docs serve lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(RUN)python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN)python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(RUN)python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.runtime  ## Create the virtual environment with pinned dependencies
setup-dev: $(VENV)/.dev  ## The same with what the tests need

system:  # PostgreSQL and a browser for the tests that use the real ones; without root those tests skip and say so
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then sh tests/system_packages.sh; fi

release: setup  ## Run the shipped miniature release from check to promotion
	$(RUN)kdgov run registry/releases/miniature.yaml

unsafe: setup  ## Run the miniature release that must be blocked (exit code 1 is the right answer)
	$(RUN)kdgov run registry/releases/miniature-unsafe.yaml

black-box: setup  ## Serve the miniature teacher on this machine, run the release whose teacher is only that address, and stop it
	$(RUN)kdgov endpoint registry/models/miniature-teacher --port 8111 -- $(RUN)kdgov run registry/releases/miniature-black-box.yaml

lint: setup-dev  ## Style, types, layers
	$(RUN)ruff check kdgov tests
	$(RUN)ruff format --check kdgov tests
	$(RUN)mypy
	$(RUN)lint-imports

# Whole files to each worker, in the order that tests/conftest.py gives them: longest first.
ON_TWO := -n 2 --dist loadgroup --no-loadscope-reorder

# What decides and loads no model: every test of these folders under a second.
CORE := $(addprefix tests/,decision license declarations items report checks evidence \
	test_api.py test_architecture.py test_digest.py test_docs.py test_extensions.py test_startup.py)

fast: setup-dev  ## Style, types, layers and the tests of the pure core (under a minute on 2 cores)
	@$(MAKE) --no-print-directory -j 2 -O lint core

core: setup-dev
	$(RUN)pytest -q $(ON_TWO) -m "not nightly and not slow" $(CORE)

test: setup-dev system lint  ## Everything a change must pass (under 15 minutes on 2 cores)
	$(RUN)pytest $(ON_TWO) -m "not nightly"

ci: setup-dev system  ## The longer checks that every change must pass too, after the tests
	$(RUN)pytest -m "nightly and ci"  # one after the other: several of them start two processes themselves, or hold to a minute

nightly: setup-dev system  ## The longer checks
	$(RUN)pytest $(ON_TWO) -m nightly

docs: setup-dev  ## Build the documentation site in build/site; a warning (a dead link, an unknown name) is an error
	$(RUN)python docs/site/build.py build/docs
	$(RUN)sphinx-build -q -W --keep-going build/docs build/site

$(VENV)/.bench: $(VENV)/.dev
	$(RUN)python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench  ## Measure what the README claims; prints tables, writes tests/.artifacts/bench/*.json
	$(RUN)python -m tests.benchmarks

serve: setup  ## Open the registry of finished releases in a browser
	$(RUN)kdgov serve

# Torch stays a plain version and its GPU libraries stay out: each machine's index brings the build that fits it.
FREEZE = pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' | grep -vE '^(nvidia-|triton|kdgov)' | LC_ALL=C sort -f

lock:  ## Resolve the dependencies of pyproject.toml anew and write the lock files
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet "$(TORCH)" && build/lock/bin/pip install --quiet --editable '.[all]'
	build/lock/bin/$(FREEZE) > requirements.lock
	build/lock/bin/pip install --quiet --editable '.[dev]'
	build/lock/bin/$(FREEZE) > requirements-dev.lock
	build/lock/bin/python requirements/write_locks.py

clean:  ## Remove the environment and every finished result
	rm -rf $(VENV) registry/store tests/.artifacts
