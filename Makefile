# Two commands on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY := PASSIVE

.PHONY: quickstart ceilings test test-slow lint types bench clean

# Two tables: on features, and on the same catalogue from raw text, pictures and sound.
quickstart: .venv/installed
	$(BIN)/fusionlab study configs/studies/quickstart.yaml --workers 2
	$(BIN)/fusionlab study configs/studies/rendered.yaml --workers 2

# Who finds how much of what there is to find: about 15 minutes on two cores.
ceilings: .venv/installed
	$(BIN)/fusionlab study configs/studies/ceilings.yaml --workers 2

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-group-by=group --benchmark-columns=median,iqr,rounds --benchmark-sort=name

# A plain venv and plain pip: torch of the allowed range comes with its own wheels.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs reports
