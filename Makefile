# Everything runs in a virtual environment of its own; a machine needs Python and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --quiet --constraint constraints.txt --editable
# The demo needs little; the other targets add the development tools to the same environment.
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
# A file's tests stay together: many share what the file sets up once. Files start in order, as those
# that take longest have few tests.
WORKERS ?= 2

.PHONY: demo demo-digits test site test-wheel test-lowest test-pythons test-next dist certify lint check-rule fuzz audit mutants bench clean

demo: $(DEMO)  ## train v0, v1, v2 on real data, publish, serve v0 from v2, print the result
	$(RUN) -m training demo

demo-digits: $(DEMO)  ## the same on images: a model of your own, two consumers, three updates
	$(RUN) -m training digits

test: lint  ## everything that must hold
	$(RUN) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

site: $(DEV)  ## the documentation, in runs/site; a link that leads nowhere fails
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build

test-wheel:  ## the README and the first guides on the built wheel, installed as its users do
	PYTHON=$(PYTHON) .ci/wheel

test-lowest:  ## the same with the lowest version of every direct dependency that pyproject.toml allows
	PYTHON=$(PYTHON) .ci/wheel lowest

test-pythons:  ## the same, without torch, on the other Pythons that pyproject.toml allows and this machine has
	.ci/pythons

test-next:  ## the suite on the newest Feast of the index, pre-releases too
	PYTHON=$(PYTHON) .ci/next

dist:  ## what is to be released, in dist/: built twice as the same bytes, checked, installed, tried; SBOM
	PYTHON=$(PYTHON) .ci/dist

certify: $(DEV)  ## Feast's own suite with this provider, beside stock; FEAST is a checkout of Feast
	$(RUN) -m certification --feast $(FEAST)

lint: $(DEV)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

check-rule: $(DEV)  ## the one rule over 500 random histories, through the public surface
	$(RUN) -m tests.checker --histories 500 --steps 20

fuzz: $(DEV)  ## a million hostile inputs for everything that is stored; then as atheris chooses
	$(RUN) -m tests.fuzz --inputs 1000000
	$(RUN) -m pip install --quiet --constraint constraints.txt atheris
	$(RUN) -m tests.fuzz --coverage --only transform --inputs 200000
	$(RUN) -m tests.fuzz --coverage --only plan --inputs 200000

audit: $(DEV)  ## known holes of what the constraints install, as the package index tells them
	$(RUN) -m pip install --quiet --constraint constraints.txt pip-audit
	$(RUN) -m pip_audit --disable-pip --no-deps --requirement constraints.txt

mutants: $(DEV)  ## which changes of the rule no test would notice
	$(RUN) -m tests.mutants feast_bc/rule --tests tests/rule

BENCHMARKS := load materialize part_files postgres_source online_read metrics online_writers search historical historical_spark \
	scale transform alignment_init training_speed

bench: $(DEV)  ## every benchmark at full size, one after the other; JSON in runs/benchmarks
	for name in $(BENCHMARKS); do $(RUN) -m benchmarks.$$name || exit 1; done

$(DEMO): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(INSTALL) '.[torch]' --group training
	touch $@

$(DEV): $(DEMO)
	$(INSTALL) '.[onnx,openlineage,postgres,ray,redis,sign,spark,torch,ui]' --group dev --group docs --group training
	touch $@

clean:
	rm -rf $(VENV) demo
