# make run    set up, generate the demo world, run the whole workflow on it, print the table
# make test   set up, lint, all tests
# A second call skips what is done.

PYTHON := $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
STAMP := .venv/.installed
DEMO := pipelines/configs/demo.toml

.PHONY: run test lint compile clean
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

compile: $(STAMP)
	$(BIN)/pinrec compile
	for target in minikube gke; do for form in yaml resources; do \
		$(BIN)/pinrec compile --config $(DEMO) --target $$target --format $$form || exit 1; done; done

clean:
	rm -rf .venv work build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
