# What a newcomer and a contributor run. Needs Python 3.11 or newer, git and make; everything else goes into $(VENV).

VENV ?= .venv
BIN := $(VENV)/bin
SPHINX_OUT ?= docs/_build/html

# The first interpreter that is new enough and can make an environment; `make PYTHON=/path/to/python ...` overrules it.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

# Every script in benchmarks/ but what they share, that of a cluster and the paper's table; `make bench BENCHMARKS=speed` runs one.
BENCHMARKS ?= $(filter-out cluster common grounds made_grounds picture_grounds contest_table make_ground paper paper_sets paper_table,$(basename $(notdir $(wildcard benchmarks/*.py))))

# Stamps: a second run installs nothing until pyproject.toml changes.
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
FUZZ := $(VENV)/.fuzz

# Where it is set, each of the tests' many processes would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long coverage lint format docs cli-reference bench paper load fuzz lowest silence cluster clean

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## */\1|/p' Makefile | while IFS='|' read -r name text; do printf 'make %-14s %s\n' "$$name" "$$text"; done

demo: $(CORE)  ## install the core and classify 200 real blood cells
	@rm -rf demo
	$(BIN)/kpl demo --out demo

test: lint  ## lint, types, structure and the tests
	$(BIN)/pytest -n 2 --dist worksteal -m 'not strace and not long' --ignore tests/test_structure.py

test-long: lint  ## the tests that take long, and more examples of those that draw theirs
	KPL_EXAMPLES=100 $(BIN)/pytest -n 2 --dist worksteal -m '(long or hypothesis) and not strace'

coverage: $(DEV)  ## what all tests of this environment reach, those that take long too; under 95 % of lines fails
	$(BIN)/pytest -n 2 --dist worksteal --cov -m 'not strace'

lint: $(DEV)  ## ruff, mypy --strict and the rules of the house, without the other tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -p no:cacheprovider tests/test_structure.py

format: $(DEV)  ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DOCS)  ## build the documentation, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs $(SPHINX_OUT)
	@echo "Documentation: $(SPHINX_OUT)/index.html"

cli-reference: $(CORE)  ## write docs/cli.md anew from the commands themselves
	$(BIN)/python -m typer --app app kpl.cli.main utils docs --name kpl --output docs/cli.md

bench: $(DEV)  ## measure the README's figures and write them to benchmarks/out (long)
	@set -e; for name in $(BENCHMARKS); do \
		echo "== $$name"; $(BIN)/python "benchmarks/$$name.py" --json "benchmarks/out/$$name.json"; done

paper: $(DEV)  ## the paper's table on your own data: make paper DATA=folder ENCODER=name
	$(BIN)/python benchmarks/paper.py --data "$(DATA)" --encoder "$(or $(ENCODER),mini)" --json benchmarks/out/paper.json

SECONDS_OF_LOAD ?= 1800
load: $(DEV)  ## eight clients against a server for half an hour, its queue filled, its memory watched
	$(BIN)/python benchmarks/serve.py --only load --load $(SECONDS_OF_LOAD)

fuzz: $(FUZZ)  ## read 2000 damaged runs, features, models and encoders, send as many files to a server, and 100 requests of each kind that its OpenAPI document allows or forbids
	KPL_FUZZ=2000 KPL_EXAMPLES=100 KPL_REQUIRE_EXTRAS=1 $(BIN)/pytest -s -p no:cacheprovider \
		tests/server/test_uploads.py tests/server/test_openapi.py tests/cli/test_mutated.py tests/images/test_mutated.py \
		tests/encoders/test_hostile_encoders.py

LOWEST ?= $(VENV)-lowest
# Two environments, as the extras with torch are 8 GB; torch is named, because torchvision, which OpenCLIP brings, would raise it. With 2.6 all but the exports pass.
# What old libraries find deprecated in new ones is no failure here.
lowest: $(DEV)  ## the tests with the oldest libraries that pyproject.toml allows (long, for a release); TESTS=tests/images for a part
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'
	$(BIN)/uv venv --quiet --clear $(LOWEST) && $(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		'.[dicom,nifti,arrays,volumes,slides,dicom-out,llm,parquet,excel,serve,cloud]' 'moto[server]>=5.0.20' --group test
	$(LOWEST)/bin/python -m pytest -W default::DeprecationWarning -m 'not strace and not long' $(or $(TESTS),tests)
	$(BIN)/uv venv --quiet --clear $(LOWEST) && $(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		'.[openclip,transformers,onnx-export,openvino]' 'torch==2.12.0' --group test
	KPL_REQUIRE_EXTRAS=1 $(LOWEST)/bin/python -m pytest -W default::DeprecationWarning -m 'torch and not strace' tests/encoders

silence: $(DEV)  ## every command in a process of its own, watched for half a minute after its work: nothing leaves the machine
	KPL_WATCH=whole $(BIN)/pytest -s -p no:cacheprovider tests/cli/test_silence.py

cluster: $(DEV)  ## one to three nodes of Ray without a network: embed, fit and classify; nodes and drivers killed (root, ip, unshare)
	$(BIN)/python -m pip install --quiet -e '.[ray,cloud,parquet]' 'moto[server]>=5,<6' && unshare -n $(BIN)/python .ci/cluster.py --whole

kill: $(DEV)  ## kill every writing command at every call that changes something, and start two at once many times (long)
	KPL_KILL=all KPL_REQUIRE_EXTRAS=1 $(BIN)/pytest -n 2 -rP -p no:cacheprovider -m "not torch" tests/whole

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) $(LOWEST) build dist docs/_build demo .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(CORE): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found: install one, or say which: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'  # the first that reads dependency groups
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEV): $(CORE)
	$(BIN)/python -m pip install --quiet --group test --group lint
	@touch $@

$(FUZZ): $(DEV)
	$(BIN)/python -m pip install --quiet --group browser
	@touch $@

$(DOCS): $(CORE)
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@
