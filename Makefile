# Needs Python 3.11 or newer with pip, and make. The rest is installed into .venv, as locked, on first use: for
# `make demo` the packages of the daemon, for the other targets also those of the tests.
PYTHON ?= python3
BIN := .venv/bin
DAEMON := .venv/daemon
READY := .venv/ready
BENCH := .venv-bench
EXAMPLE := examples/flash_sale_backend

# The tests start hundreds of processes, which would otherwise all compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo run env stack-native test campaign gameday test-long style types coverage bench lock sbom clean docs dashboards kubernetes

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DAEMON) ## Run the sidecar, a private Redis and a simulated sale
	@$(BIN)/sidecar demo

run: $(DAEMON) ## Run the sidecar with a private Redis
	@$(BIN)/sidecar run --embedded-redis

env: .env ## Write .env, the secrets of docker-compose.yml, if it does not exist

# Never rewritten, whatever is newer: it holds the secrets that the volumes were created with.
.env:
	@umask 077 && awk '/_(PASSWORD|TOKEN)=$$/ { "openssl rand -hex 24" | getline secret; close("openssl rand -hex 24"); \
		$$0 = $$0 secret } { print }' .env.example > $@.new && mv $@.new $@

stack-native: $(READY) ## Run the stack without Docker, from Debian's packages
	@$(BIN)/python -m monitoring.native

test: $(READY) ## Run the tests (at most 3 minutes on 2 cores; SERVER=path for another Redis or Valkey)
	@$(if $(SERVER),TEST_SERVER=$(abspath $(SERVER))) $(BIN)/pytest -n 6 --dist worksteal

campaign: $(READY) ## Test the guarantees, at a larger scale than `test` (some minutes)
	@$(BIN)/pytest -n 3 -m "(campaign or hypothesis) and not long" --hypothesis-profile campaign

gameday: $(READY) ## Break sales, each on its own stack: which alerts page? (10 minutes; ONLY=name for one, SHORT=1 for six in 3)
	@$(BIN)/python -m tests.gameday $(ONLY) $(if $(SHORT),--short)

test-long: $(READY) ## Run the long variants: chaos, soak, fuzzing
	@$(BIN)/pytest -m long --timeout 7200

style: $(READY) ## Check style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## Check types, strictly
	@$(BIN)/mypy

coverage: $(READY) ## Check that tests reach all of the core, and of every other folder what they did (tests/covered.py)
	@$(BIN)/python -m tests.covered

bench: $(READY) $(BENCH)/ready ## Measure against the goals (10 minutes; ONLY=ingest for one part, FULL=1 for all of it)
	@BENCH_PYTHON=$(BENCH)/bin/python $(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(FULL),--full)

dashboards: $(READY) ## Rebuild the Grafana dashboards
	@$(BIN)/python -m monitoring.dashboards

kubernetes: $(READY) ## Rebuild the rules for the Prometheus Operator
	@$(BIN)/python -m monitoring.kubernetes

lock: ## Renew the locked dependencies (needs uv)
	uv pip compile -q --upgrade $(LOCK) -o requirements.lock setup.cfg
	uv pip compile -q $(LOCK) -c requirements.lock --extra embedded --extra install -o requirements-demo.lock setup.cfg
	uv pip compile -q $(LOCK) -c requirements-demo.lock --extra embedded --extra install --extra socketio --extra dashboards --extra dev -o requirements-dev.lock setup.cfg
	uv pip compile -q $(LOCK) -c requirements-dev.lock -o $(EXAMPLE)/requirements.lock $(EXAMPLE)/requirements.in

sbom: ## Write a bill of materials, sbom.json (needs uv)
	uvx -q --from cyclonedx-bom cyclonedx-py requirements requirements.lock -o sbom.json

docs: $(READY) ## Check the documentation: links, names, examples that run
	@$(BIN)/pytest -q tests/test_docs.py

clean: ## Remove everything that make created here
	rm -rf .venv .venv-bench sbom.json benchmarks/.node .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find benchmarks examples monitoring sidecar tests -name __pycache__ -prune -exec rm -rf {} +

LOCK := --universal --python-version 3.11 --generate-hashes --strip-extras --no-annotate \
	--custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links

# Without pip inside: on Debian `venv` alone lacks ensurepip, which is in a separate package. The system's pip installs
# into it (--python), which is also faster. The marker files are touched last, so that a failed setup is repeated.
INSTALL := $(PYTHON) -m pip --python $(BIN)/python install -q --disable-pip-version-check

$(DAEMON): requirements-demo.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, as in: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 \
		|| { echo "$(PYTHON) has no pip: install it (Debian: apt install python3-pip), then run make again" >&2; exit 1; }
	@echo "Installing the sidecar into .venv, once ..."
	@$(PYTHON) -m venv --clear --without-pip .venv
	@$(INSTALL) --require-hashes -r requirements-demo.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(READY): $(DAEMON) requirements-dev.lock
	@echo "Installing what the tests need into .venv, once ..."
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# FastStream and jmespath, for comparison, in a separate environment: their dependencies must not change those of the daemon.
# Without them (offline, for example) the benchmark still runs, and says what it left out.
$(BENCH)/ready: setup.cfg
	@echo "Installing what the benchmark compares with into $(BENCH), once ..."
	@$(PYTHON) -m venv --clear --without-pip $(BENCH)
	@$(PYTHON) -m pip --python $(BENCH)/bin/python install -q --disable-pip-version-check -e '.[bench]' \
		|| echo "FastStream and jmespath could not be installed; the benchmark leaves them out" >&2
	@touch $@
