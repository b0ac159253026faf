# Two commands do everything: `make demo` runs the service on this machine, `make test` passes its tests.
PYTHON ?= python3
BIN := .venv/bin

PYTEST := $(BIN)/python -m pytest

# Where an environment forbids to keep compiled modules, each process of the tests would compile all of them.
test check thorough: export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test check thorough format audit sbom faults cdk-local image-check clean
setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt infra/layer.lock
	@echo "Setting up .venv (about 3 GB, a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wetread needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -m venv .venv
	@echo "1 of 2: what the functions run with"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r infra/layer.lock
	@echo "2 of 2: the command line, PyTorch, CDK and the tests' tools (most of the time and of the 3 GB)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
	@echo "Ready."

demo: setup
	@$(BIN)/wetread --local demo

test: setup
	@$(PYTEST)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@WETREAD_SCHEDULES=1000 $(PYTEST) -m 'not thorough'

# What waits for minutes.
thorough: setup
	@$(PYTEST) -m thorough

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Known vulnerabilities of what is pinned, by the advisories in tests/advisories.json.
audit: setup
	@$(BIN)/python -m tests.audit

# Bills of materials of the image and of the functions' layer, in build/sbom/.
sbom: setup
	@$(BIN)/python -m tests.sbom

# Faults injected into a separate local cloud: what was seen, what was lost, and how long it took.
faults: setup
	@$(BIN)/python -m assurance.fault_injection

# The real CDK CLI (from the npm registry) against a separate local cloud: bootstrap, deploy, diff.
cdk-local: setup
	@$(BIN)/python -m assurance.cdk_cli

# The image, built and run without docker: root on Debian, with buildah, podman, runc and mmdebstrap.
image-check: setup
	@$(BIN)/python -m assurance.image

clean:
	@rm -rf .venv cdk.out build .wetread
