# Everything a person or CI does here. Each target first makes .venv from the locked requirements.
# `make` alone lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.made
# The twin boots machines, which needs root.
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help tools test-tools demo demo-data demo-incident drill test check style pure policy app live e2e sweep twin down fresh audit build lock runbooks \
        bench-flip bench-deploy bench-cli bench-host bench-hold bench-restore bench-quiet bench-salvage bench-slo \
        bench-alarms bench-app bench-load bench-web bench-scrape bench-image

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements/dev.txt
	@echo "making $(VENV) from requirements/dev.txt"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

tools: ## say which system packages are missing, and install them (Debian, Ubuntu)
	@.ci/tools

test-tools:
	@.ci/tools tests

demo: tools $(STAMP) ## the whole road on the local AWS: deploy, break, roll back, kill, resume
	$(SUDO) $(BIN)/python -m tests.demo.demo

demo-data: tools $(STAMP) ## a bad migration: the rollback refused, the restore, the salvage, and the count
	$(SUDO) $(BIN)/python -m tests.demo.demo_data

demo-incident: tools $(STAMP) ## memory is eaten: the page, the runbook, the remedy, the postmortem
	$(SUDO) $(BIN)/python -m tests.demo.incident

drill: tools $(STAMP) ## a drill of 1 GiB on a local AWS of its own; the report stays in build/drill
	$(SUDO) $(BIN)/python -m tests.demo.drill

check: style pure ## under a minute: format, lint, types, pure tests

style: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

pure: $(STAMP)
	$(PYTEST) tests/pure -q -m "not long" -n auto --dist loadfile

build/checkov/.made: requirements/checkov.txt
	@echo "making build/checkov from requirements/checkov.txt: its pins suit no other environment"
	@test -x build/checkov/bin/python || $(PYTHON) -m venv build/checkov
	@build/checkov/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/checkov.txt
	@touch $@

policy: build/checkov/.made ## checkov over terraform/; exceptions stand in terraform/checkov.yaml, with reasons
	build/checkov/bin/checkov --config-file terraform/checkov.yaml --directory terraform

app/.venv/.made: app/requirements-test.txt app/pyproject.toml
	@echo "making app/.venv from app/requirements-test.txt"
	@test -x app/.venv/bin/python || $(PYTHON) -m venv app/.venv
	@app/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r app/requirements-test.txt
	@touch $@

app: app/.venv/.made ## the product image's own tests
	cd app && .venv/bin/python -m pytest

# Tests of machines mostly wait: those that raise no stack run beside those that do, and the app's and all others nicely
# beside both. How each part ended stands in build/, and tests/parts.py tells it at the end.
MACHINES := $(wildcard $(addprefix tests/twin/test_,balancer.py commands.py down.py faults.py front.py gate*.py ground.py \
              host*.py image.py keepers.py restore_keeper.py sickness.py))
NICELY    = nice $(SUDO) $(PYTEST) -p no:cacheprovider --durations=12 tests --ignore=tests/twin
WAITING   = $(SUDO) $(PYTEST) -p no:cacheprovider --durations=12
CHECKS    = nice $(MAKE) --no-print-directory --keep-going style policy app
PARTS     = mkdir -p build; rm -f build/*.code; began=$$(date +%s); \
	ended() { echo $$? >build/$$1.code; }; \
	part() { name=$$1; shift; "$$@" >build/$$name.log 2>&1; ended $$name; }; \
	shown() { name=$$1; shift; { "$$@" 2>&1; ended $$name; } | tee build/$$name.log; }

test: test-tools $(STAMP) ## what CI runs: check, app, Terraform, contract, real machines, and one shared stack
	@echo "tests of the shared stack first, all others beside them, Terraform's after them; what those said follows at the end"
	@$(PARTS); \
	{ part checks $(CHECKS); part others $(NICELY) --ignore=tests/terraform -m "not long and not live"; } & \
	part machines $(WAITING) $(MACHINES) -m "not long and not live" & \
	shown stack $(WAITING) tests/twin $(addprefix --ignore=,$(MACHINES)) -m "not long and not live"; \
	part terraform $(WAITING) tests/terraform -m "not long and not live"; \
	wait; $(BIN)/python -m tests.parts $$began stack machines terraform checks others

live: $(STAMP) ## the ledger's contract on a real account: a table is made and deleted, with the credentials of your environment
	RMU_LIVE=1 $(PYTEST) -p no:cacheprovider tests/contract -m live

# The longest of those that raise a stack of their own.
APART := $(addprefix tests/twin/test_,alarms.py alarms_daily.py runbooks.py runbooks_mend.py)

e2e: test-tools $(STAMP) ## everything, the tests that break the twin included; an hour or more
	@echo "tests of the shared stack first, all others beside them; what those said follows at the end"
	@$(PARTS); \
	{ part checks $(CHECKS); part others $(NICELY) -m "not live"; } & \
	{ part machines $(WAITING) $(MACHINES) -m "not live"; part apart $(WAITING) $(APART) -m "not live"; } & \
	shown stack $(WAITING) tests/twin $(addprefix --ignore=,$(MACHINES) $(APART)) -m "not live"; \
	wait; $(BIN)/python -m tests.parts $$began stack machines apart checks others

sweep: e2e ## hours: everything, and then each guard taken out once to see its test fail
	$(BIN)/python -m tests.mutations
	$(MAKE) bench-salvage

twin: tools $(STAMP) ## start the local AWS with the stack applied, to play with
	$(SUDO) $(BIN)/rmu twin up
	$(SUDO) $(BIN)/rmu infra bootstrap --yes
	$(SUDO) $(BIN)/rmu infra apply --yes --because "make twin"

down: $(STAMP) ## stop the local AWS and wipe it
	$(SUDO) $(BIN)/rmu twin down

bench-flip bench-deploy bench-cli bench-host bench-hold bench-restore: tools $(STAMP) ## measure beside a control
	$(SUDO) $(BIN)/python tests/bench/$(subst -,_,$@).py

bench-quiet: tools $(STAMP) ## an hour of ordinary load and twenty deploys: no alarm may fire
	$(SUDO) $(BIN)/python tests/bench/bench_quiet.py

bench-alarms: tools $(STAMP) ## provoke every alarm, and tell how long each took to page; half an hour
	$(SUDO) $(BIN)/python -m pytest -p no:cacheprovider tests/twin/test_alarms.py tests/twin/test_alarms_daily.py

bench-slo: $(STAMP) ## a year of traffic before the compiled alarms, beside the SRE workbook's; a minute or two
	$(BIN)/python tests/bench/bench_slo.py

bench-web: test-tools $(STAMP) app/.venv/.made ## what a phone on slow 4G waits for, beside bare HTML; three minutes
	$(BIN)/python tests/bench/bench_web.py

bench-app: test-tools $(STAMP) app/.venv/.made ## 50 searches a second over 50,000 units, beside the bare SQL; five minutes
	$(BIN)/python tests/bench/bench_app.py

bench-load: tools $(STAMP) ## the product on a host of 1 GiB: searches a second while it scrapes, then until it is late; twelve minutes
	$(SUDO) $(BIN)/python tests/bench/bench_load.py

bench-scrape: test-tools $(STAMP) app/.venv/.made ## 1,000 pages scraped at full speed, 200 of them hostile; what is left open is counted
	$(BIN)/python tests/bench/bench_scrape.py

bench-image: tools $(STAMP) ## how big the image is, whole, by part and by role; a minute, and a build where none is kept
	$(SUDO) $(BIN)/python tests/bench/bench_image.py

bench-salvage: $(STAMP) ## 200 restores to random moments, cut over and salvaged, on plain PostgreSQL; an hour
	PYTHONPATH=.:templates/host $(BIN)/python -m tests.salvage.sweep

fresh: tools ## `make demo` and `make test` in a newborn Debian, from a clean clone
	$(SUDO) tests/fresh/run

audit: $(STAMP) ## known vulnerabilities in the locked requirements; fails when advisories are out of reach
	$(BIN)/python tests/audit.py

runbooks: $(STAMP) ## the pages of docs/runbooks, made of runbooks/*.yaml
	for f in runbooks/*.yaml; do n=$$(basename $$f .yaml); $(BIN)/rmu runbook show $$n --markdown > docs/runbooks/$$n.md; done

build: $(STAMP) ## sdist and wheel, into dist/
	$(BIN)/python -m build --no-isolation

lock: $(STAMP) ## renew the hash-locked requirements
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) pyproject.toml -o requirements/base.txt
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) -c requirements/base.txt --extra twin pyproject.toml -o requirements/twin.txt
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) -c requirements/twin.txt --extra twin --extra lint --extra dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) requirements/checkov.in -o requirements/checkov.txt

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
