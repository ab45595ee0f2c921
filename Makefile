# `make` lists what there is. Everything runs in .venv, which `setup` makes. Outside this folder only the download
# caches of pip and uv change, where they always are. Works with GNU make 3.81 (macOS) and newer.

.DEFAULT_GOAL := help
BIN := .venv/bin
NBVAL := --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg
# One test at a time for each processor, and one more, because many wait for a clock or a terminal. Yours: WORKERS=...
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2); echo $$(((n > 4 ? 4 : n) + 1)))

# The Python to begin with: the first on PATH that the locked packages come ready-made for. Or yours: PYTHON=...
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.14 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$python && break; done)
FITS := import sys; sys.exit(sys.version_info < (3, 11) or sys.version_info >= (3, 15))

# Another environment that happens to be active, or a setting for one, must not lead the tools away from .venv.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME UV_PYTHON
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The stamp names the folder that .venv was made for. Moved, or its Python gone: it is made anew.
MADE_FOR := $(shell $(BIN)/python -c '' 2>/dev/null && cat .venv/.ready 2>/dev/null)
ifneq ($(MADE_FOR),$(CURDIR))
.PHONY: .venv/.ready
endif

.PHONY: help
help: ## what you are reading
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: learn
learn: setup ## open the course in JupyterLab (sets everything up the first time)
	$(BIN)/opslab learn

.PHONY: setup
setup: .venv/.ready ## make or renew .venv; does nothing when it is up to date

.PHONY: airflow
airflow: .venv/.airflow ## add Airflow, for task 6.1 (about 90 packages more)

.venv/.airflow: .venv/.ready
	@echo "Installing Airflow (about a minute) …"
	@$(BIN)/uv sync --quiet --locked --compile-bytecode --extra airflow
	@touch $@

.PHONY: test
test: airflow ## every test: package, checks, lessons, browser
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(NBVAL) tests lessons

.PHONY: test-fast
test-fast: airflow ## what a change needs most: about 3 minutes, no browser, no slow tests
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow and not browser" tests

.PHONY: test-again
test-again: airflow ## what was red in the last run, alone: a fault is red again, a race is not
	$(BIN)/python tests/again.py $(MOST) $(NBVAL)

.PHONY: lint
lint: setup ## style of code and notebooks; exercises are what the solutions generate; calls fit what they call
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m opslab.grading.form --check lessons solutions exercises
	$(BIN)/python -m opslab.grading.release --check
	$(BIN)/uv tool run --quiet mypy==2.4.1

.PHONY: fmt
fmt: setup ## bring code and notebooks into that style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m opslab.grading.form lessons solutions exercises

.PHONY: exercises
exercises: setup ## make exercises/ from solutions/
	$(BIN)/python -m opslab.grading.release

.PHONY: bench
bench: setup ## run the benchmarks, one after the other
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

.PHONY: lock
lock: ## after a change of dependencies: renew uv.lock and requirements.txt
	$(BIN)/uv lock
	$(BIN)/uv export --quiet --locked --no-dev --no-hashes --no-emit-project --output-file requirements.txt

.venv/.ready: pyproject.toml uv.lock
	@$(or $(PYTHON),python3) -c '$(FITS)' 2>/dev/null || { \
		echo "Found $$($(or $(PYTHON),python3) --version 2>/dev/null || echo 'no Python'); Python 3.11 or newer is needed, up to 3.14."; \
		echo "Get one:  Debian, Ubuntu, WSL: sudo apt install python3 python3-venv   macOS: brew install python@3.13   else: python.org"; \
		echo "Have one: make setup PYTHON=/path/to/python3.13"; \
		exit 1; }
	@$(or $(PYTHON),python3) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Found $$($(or $(PYTHON),python3) --version), but without venv and pip, which Debian and Ubuntu pack separately."; \
		echo "Get them: sudo apt install python3-venv"; \
		exit 1; }
	@test "$(MADE_FOR)" = "$(CURDIR)" || { echo "Making .venv with $$($(PYTHON) --version) …"; $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install --quiet "uv==$$(sed -n '/^name = "uv"$$/{n;s/^version = "\(.*\)"$$/\1/p;}' uv.lock)"
	@echo "Installing the locked packages (about 2 minutes the first time, more on a slow line) …"
	@$(BIN)/uv sync --quiet --locked --compile-bytecode $(if $(wildcard .venv/.airflow),--extra airflow)
	@echo "$(CURDIR)" > $@
	@$(BIN)/opslab doctor || true
