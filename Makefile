# make run    set up, generate the demo world, run the whole workflow on it, print the table
# make test   set up, lint, all tests
# make minikube   the same workflow on a cluster on this machine, step by step as in docs/minikube.md
# make image  the container image; make test-containers builds one and runs the pipeline in it: docs/image.md
# make docs   the documentation as a site: work/site/index.html; a broken link ends it
# A second call skips what is done.

PYTHON := $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
STAMP := .venv/.installed
DEMO := pipelines/configs/demo.toml

# A cluster on this machine: make minikube MINIKUBE_CPUS=8 MINIKUBE_MEMORY=16g KFP_VERSION=2.17.0
MINIKUBE_CPUS ?= 6
MINIKUBE_MEMORY ?= 10g
MINIKUBE_DISK ?= 40g
KFP_VERSION ?= 2.16.0
KFP := github.com/kubeflow/pipelines/manifests/kustomize
MINIKUBE_IMAGE := pinrec:0.1.0
KUBECTL := kubectl --context minikube
DOCTOR := $(BIN)/pinrec doctor --config $(DEMO) --target minikube
# After a step: what the doctor says of the cluster, and no further step.
OR_ADVICE := || { $(DOCTOR); exit 1; }

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' pinrec_core/__init__.py)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)$(if $(shell git status --porcelain 2>/dev/null),+changes)
IMAGE ?= pinrec:$(VERSION)
TORCH ?= cpu

.PHONY: run test test-containers image minikube lint docs compile clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv: some minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	touch $@

work/demo/data/truth.json: $(STAMP)
	rm -rf work/demo/data
	$(BIN)/pinrec synth work/demo/data

run: $(STAMP) work/demo/data/truth.json
	$(BIN)/pinrec run --config $(DEMO)

# Each line may be run again: what is done is left alone. The commands explain themselves in docs/minikube.md.
minikube: $(STAMP)
	# A cluster of one node
	minikube status || minikube start --cpus $(MINIKUBE_CPUS) --memory $(MINIKUBE_MEMORY) --disk-size $(MINIKUBE_DISK) $(OR_ADVICE)
	# Kubeflow Pipelines $(KFP_VERSION)
	$(KUBECTL) apply -k "$(KFP)/cluster-scoped-resources?ref=$(KFP_VERSION)" $(OR_ADVICE)
	$(KUBECTL) wait --for=condition=established --timeout=60s crd/applications.app.k8s.io $(OR_ADVICE)
	$(KUBECTL) apply -k "$(KFP)/env/platform-agnostic?ref=$(KFP_VERSION)" $(OR_ADVICE)
	$(KUBECTL) -n kubeflow wait --for=condition=Available --timeout=15m deployment -l application-crd-id=kubeflow-pipelines $(OR_ADVICE)
	# The image, into the cluster
	minikube image ls | grep -q '$(MINIKUBE_IMAGE)$$' || { make image IMAGE=$(MINIKUBE_IMAGE) && minikube image load $(MINIKUBE_IMAGE); } $(OR_ADVICE)
	# The volume, the service
	$(KUBECTL) apply -k manifests/overlays/minikube $(OR_ADVICE)
	# The synthetic world, onto the volume
	$(KUBECTL) apply -f manifests/jobs/synth.yaml $(OR_ADVICE)
	$(KUBECTL) -n kubeflow wait --for=condition=complete --timeout=10m job/pinrec-synth $(OR_ADVICE)
	# A run, followed to its end
	$(KUBECTL) -n kubeflow port-forward svc/ml-pipeline 8888:8888 >/dev/null & trap "kill $$!" EXIT; \
		$(DOCTOR) && $(BIN)/pinrec submit --config $(DEMO) --target minikube --date 2026-01-14 --wait
	# The service has what was promoted
	$(KUBECTL) -n kubeflow rollout status --timeout=5m deployment/pinrec-serving $(OR_ADVICE)

lint: $(STAMP)
	$(BIN)/ruff check .

docs: $(STAMP)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d work/doctrees docs work/site
	@echo work/site/index.html

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
	for target in minikube gke; do for form in yaml resources; do \
		$(BIN)/pinrec compile --config $(DEMO) --target $$target --format $$form || exit 1; done; done

clean:
	rm -rf .venv work build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
