# Everything runs in a virtual environment of its own; a machine needs Python and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test lint check-rule bench clean

demo: $(STAMP)  ## train v0, v1, v2 on real data, publish, serve v0 from v2, print the result
	$(RUN) -m training demo

test: lint  ## everything that must hold
	$(RUN) -m pytest

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

check-rule: $(STAMP)  ## the one rule over 500 random histories, through the public surface
	$(RUN) -m tests.checker --histories 500 --steps 20

BENCHMARKS := materialize online_read historical transform alignment_init training_speed

bench: $(STAMP)  ## every benchmark at full size, one after the other; JSON in runs/benchmarks
	for name in $(BENCHMARKS); do $(RUN) -m benchmarks.$$name || exit 1; done

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo
