# Two commands on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY := PASSIVE
# Tests start hundreds of processes: modules are compiled once.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: quickstart ceilings test test-slow fuzz lint types api audit bench clean

# Two tables: on features, and on the same catalogue from raw text, pictures and sound.
quickstart: .venv/installed
	$(BIN)/fusionlab study configs/studies/quickstart.yaml --workers 2
	$(BIN)/fusionlab study configs/studies/rendered.yaml --workers 2

# Who finds how much of what there is to find: about 15 minutes on two cores.
ceilings: .venv/installed
	$(BIN)/fusionlab study configs/studies/ceilings.yaml --workers 2

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --every-message

test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# For a night: 2,000 damaged inputs are part of `make test`, here are as many as FUZZ_INPUTS says, new ones each time.
# Tables of some lines are no work for a pool of threads: one thread of polars, else most of the time is spent waiting.
fuzz: .venv/installed
	FUZZ_INPUTS=$${FUZZ_INPUTS:-100000} OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 \
		$(BIN)/python -m pytest -n 2 --dist worksteal tests/fuzzing

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed
	$(BIN)/mypy

# The API reference from docstrings; a page that cannot be made is an error.
api: .venv/installed
	$(BIN)/python -W error::UserWarning -m pdoc --output-directory site/api fusionlab

# Known vulnerabilities of what is installed; needs a connection.
audit: .venv/installed
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip_audit --local

bench: .venv/installed
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-group-by=group --benchmark-columns=median,iqr,rounds --benchmark-sort=name

# A plain venv and plain pip: torch of the allowed range comes with its own wheels.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs reports site
