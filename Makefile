# Every target makes its own virtual environment first; VENV=... puts it elsewhere.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VISION := .venv-vision

.PHONY: demo test lint bench audit fuzz soak docs test-browser test-vision test-gpu clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all,docs]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/graphprune run configs/digits.yaml --out runs/digits

test: lint docs
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 tests graphprune experiments/equal_cost.py experiments/tables.py experiments/st_prune/settings.py

lint: $(STAMP)
	$(BIN)/ruff check graphprune tests experiments
	$(BIN)/ruff format --check graphprune tests experiments
	$(BIN)/mypy

bench: $(STAMP)
	for folder in experiments/speed_*; do $(BIN)/python -m experiments.$${folder#*/}.run || exit 1; done

# Of the package's source, and of what it is installed with (the latter asks the network).
audit: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[audit]'
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive graphprune
	$(BIN)/pip-audit --skip-editable

fuzz: $(STAMP)
	GRAPHPRUNE_FUZZ=5000 $(BIN)/pytest tests/test_fuzz.py tests/data/test_archives.py tests/data/test_damaged_images.py

# The report page in the chromium that stands on the path.
test-browser: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/pytest tests/report/test_browser.py

# Warnings are errors; the site lies in site/.
docs: $(STAMP)
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

soak: $(STAMP)
	$(BIN)/python -m experiments.soak.run

test-vision:
	$(PYTHON) -m venv $(VISION)
	$(VISION)/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 timm --editable '.[hf,dev]'
	$(VISION)/bin/pytest -m vision tests

# Runs in whatever environment PYTHON names: CUDA machines usually have theirs.
test-gpu:
	$(PYTHON) -m pytest -m gpu tests

clean:
	rm -rf $(VENV) $(VISION) build dist *.egg-info
