# make run    set up, generate the demo world, run the whole workflow on it, print the table
# make test   set up, lint, all tests
# make image  the container image; make test-containers builds one and runs the pipeline in it: docs/image.md
# A second call skips what is done.

PYTHON := $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
STAMP := .venv/.installed
DEMO := pipelines/configs/demo.toml

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' pinrec_core/__init__.py)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)$(if $(shell git status --porcelain 2>/dev/null),+changes)
IMAGE ?= pinrec:$(VERSION)
TORCH ?= cpu

.PHONY: run test test-containers image lint compile clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	touch $@

work/demo/data/truth.json: $(STAMP)
	rm -rf work/demo/data
	$(BIN)/pinrec synth work/demo/data

run: $(STAMP) work/demo/data/truth.json
	$(BIN)/pinrec run --config $(DEMO)

lint: $(STAMP)
	$(BIN)/ruff check .

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# Where torch is a build for the CPU of another source than the package index, its wheel is taken into the build.
image: $(STAMP)
	torch=$$($(BIN)/python -c "from importlib.metadata import version; print(version('torch'))"); case $$torch in *+cpu) \
	    $(BIN)/python -m pip download --quiet --no-deps --dest wheels torch==$$torch;; esac
	docker build $(DOCKER_BUILD_OPTIONS) --build-arg TORCH=$(TORCH) --build-arg VERSION=$(VERSION) \
	    --build-arg COMMIT=$(COMMIT) --build-arg IMAGE=$(IMAGE) -t $(IMAGE) .

test-containers: export PINREC_TESTED_IMAGE = pinrec:tested
test-containers: $(STAMP)
	if docker info >/dev/null 2>&1; then $(MAKE) image IMAGE=$$PINREC_TESTED_IMAGE; fi
	$(BIN)/python -m pytest tests/containers

compile: $(STAMP)
	$(BIN)/pinrec compile

clean:
	rm -rf .venv work build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
