# make demo | make test | make lint | make docs | make bench. Each sets up .venv first, once, and again when a dependency changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# fastai's own environment: it pins other versions than ours.
FASTAI := .venv-fastai
BENCH ?=

.PHONY: help demo test lint docs bench wheels container clean

help:
	@echo "make demo    the three stages on a bacterial genome, into outputs/ulmfit/demo (minutes on a laptop)"
	@echo "make test    lint, then all tests"
	@echo "make lint    ruff and mypy"
	@echo "make docs    the documentation as a site, outputs/site/index.html"
	@echo "make bench   speed and memory on this machine, beside fastai; BENCH='--only train,predict' for some rows"
	@echo "make wheels  the wheel and the source archive on every Python found, in clean environments (gigabytes, minutes)"
	@echo "make container  the image where an engine runs, else its steps in an empty folder"
	@echo "make clean   remove $(VENV), $(FASTAI) and what tools have cached"
	@echo "PYTHON=python3.12 make ...  chooses the interpreter (3.11 to 3.13) that $(VENV) is made with"

demo: $(READY)
	$(BIN)/python scripts/demo.py

# One worker a core, one thread each. Files go out in the order of tests/conftest.py: xdist's own order, most tests first,
# would leave the slowest files, which hold few tests, for the end, where one core works and the others wait.
test: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The variable silences an announcement of the theme's makers.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(READY) $(FASTAI)/.ready
	$(BIN)/python scripts/benchmark.py --json outputs/benchmark.json $(BENCH)

wheels: $(READY)
	$(BIN)/python scripts/try_wheels.py

container: $(READY)
	$(BIN)/python scripts/try_container.py

clean:
	rm -rf $(VENV) $(FASTAI) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist gulmfit.egg-info

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

# The same torch as ours. No dependencies: fastai asks for torchvision, which its text models do not need.
$(FASTAI)/.ready: scripts/benchmark-requirements.txt | $(READY)
	$(BIN)/python -m venv $(FASTAI)
	$(FASTAI)/bin/python -m pip install --quiet \
		"torch==$$($(BIN)/python -c 'import torch; print(torch.__version__.partition("+")[0])')"
	$(FASTAI)/bin/python -m pip install --quiet --no-deps -r scripts/benchmark-requirements.txt
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))" 2>/dev/null || { \
		echo "gulmfit needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name one that is installed: PYTHON=python3.12 make ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
