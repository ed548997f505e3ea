# `make` alone explains itself: text behind ## belongs to a target, ##@ begins a section.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv/bin
BUS ?=
TESTS ?=
MINUTES ?=
PROVIDERS ?=
export BUS PROVIDERS

##@ Try it

.PHONY: run
run: ## Start everything here, with a demo; Ctrl-C stops it. BUS=kafka takes Apache Kafka, PROVIDERS=real dials the real Gmail
	@deploy/local/environment $(if $(KAFKA_BOOTSTRAP),run,$(if $(filter kafka,$(BUS)),kafka,run))
	@exec $(VENV)/python -m berth_local run

.PHONY: sandbox
sandbox: ## Start only the mail sandbox: IMAP, SMTP and DNS servers on loopback, which also play Gmail and others
	@deploy/local/environment run
	@exec $(VENV)/python -m berth_local.sandbox .run/sandbox

.PHONY: mailboxes
mailboxes: ## List the mailboxes that the sandbox has at Gmail and others, and what is said to each
	@deploy/local/environment run
	@exec $(VENV)/python -m berth_local.sandbox --mailboxes

.PHONY: clean
clean: ## Delete the environment, and all data of the local stack
	@if [ -x $(VENV)/python ] && [ -d .run ]; then $(VENV)/python -m berth_local clean; fi
	@rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Work on it

.PHONY: develop
develop: ## Make .venv with everything that tests and checks need
	@deploy/local/environment dev

.PHONY: check
check: develop ## Lint, format, types, which package may import which, and what is published of the events
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy $(wildcard libs/*/src services/*/src deploy/local/src tests/support/src)
	$(VENV)/lint-imports
	$(VENV)/python -m berth_events.tools --check

.PHONY: schemas
schemas: develop ## Write what is published of the event contracts: JSON Schemas, AsyncAPI, docs/events.md
	$(VENV)/python -m berth_events.tools

.PHONY: test
test: develop ## Run the tests, on real servers. TESTS="services/billing -k seats" chooses some
	@tests/support/install-servers
	$(VENV)/pytest $(TESTS)

.PHONY: diagnoses
diagnoses: develop ## Play every row of the table of diagnoses to the connector, and print which code it found
	$(VENV)/python -m berth_testing.corpus

.PHONY: diagnoses-page
diagnoses-page: develop ## Write what servers say into docs/diagnoses.md and docs/sandbox.md, from the table of diagnoses
	$(VENV)/python -m berth_testing.diagnoses_page

.PHONY: ispdb
ispdb: develop ## Write the data of Thunderbird's mail services anew, FROM a clone of github.com/thunderbird/autoconfig
	@test -n "$(FROM)" || { echo 'Name the clone: make ispdb FROM=../autoconfig' >&2; exit 2; }
	git -C "$(FROM)" archive --format=tar HEAD ispdb LICENSE | $(VENV)/python -m berth_gateway.autoconfig.ispdb

.PHONY: hostile
hostile: develop ## Let the connector meet RUNS (10,000) hostile servers; prints time, memory, sockets and tasks
	$(VENV)/python -m berth_testing.hostile $(or $(RUNS),10000)

.PHONY: bench
bench: develop ## Measure; writes what it found to the terminal
	PYTHONPATH=tests $(VENV)/python -m benchmarks

.PHONY: bench-verify
bench-verify: develop ## Measure verifications beside imapflow and nodemailer on the same servers, and 3,000 at once; needs Node.js
	@tests/support/install-servers
	PYTHONPATH=tests $(VENV)/python -m benchmarks.verifying
	PYTHONPATH=tests $(VENV)/python -m benchmarks.verifying_many

.PHONY: bench-dns
bench-dns: develop ## Measure the DNS auditor beside checkdmarc, on one machine's zones, near and 20 ms away
	@tests/support/install-servers
	PYTHONPATH=tests $(VENV)/python -m benchmarks.dns

.PHONY: bulk-dns
bulk-dns: develop ## Audit 20,000 domains, some of which have no answer; takes minutes
	PYTHONPATH=tests $(VENV)/python -m benchmarks.bulk_audit

.PHONY: import-10000
import-10000: develop ## Import 10,000 addresses, the connector killed three times on the way; takes minutes
	@tests/support/install-servers
	ADDRESSES=10000 $(VENV)/pytest tests/faults/test_import_killed.py

.PHONY: fuzz-dns
fuzz-dns: develop ## Try the auditor's parser of DNS messages against dnspython for MINUTES (10)
	PYTHONPATH=tests $(VENV)/python -m benchmarks.fuzzing $(MINUTES)

.PHONY: fuzz-api
fuzz-api: develop ## Send the gateway what schemathesis makes of its OpenAPI document, for SECONDS (600)
	PYTHONPATH=tests $(VENV)/python -m fuzz.api --seconds $(or $(SECONDS),600)

.PHONY: help
help: ## Explain the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
