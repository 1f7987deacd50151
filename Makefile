# Every target can be run from a fresh clone, as root or not, and installs what it lacks; a second run starts in seconds. What is
# built or downloaded besides npm packages stays outside the checkout: VMEDIC_CACHE, by default /var/cache/vmedic or ~/.cache/vmedic.
.DEFAULT_GOAL := help
.PHONY: help install packages monitoring schemathesis hadolint node npm build temporal temporal-cluster vsphere-sim storage-image demo test verify bench soak lint format format-check types clean
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
.NOTPARALLEL:

AS_USER := lab/install/as-user
SOURCES = $(shell find domain workflows activities drivers workers client lab bench -name '*.ts' 2>/dev/null) \
          $(wildcard tsconfig*.json) package.json
LOCK = $(shell cksum < package-lock.json | tr ' ' -)
NPM_STAMP = node_modules/.vmedic-$(LOCK)
# Only these can do without a Temporal server and real hosts.
SELF_SUFFICIENT := unit replay

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: install ## cut a host's power and see its VMs come back; DATACENTER=kvm|simulated
	@DATACENTER=$(DATACENTER) bin/vmedic demo

test: npm build $(if $(filter $(SELF_SUFFICIENT),$(ONLY)),,packages monitoring schemathesis hadolint temporal-cluster temporal vsphere-sim storage-image) ## all tests; ONLY=unit|contracts|workflows|api|saga|scenarios|simulation|replay|lab
	@$(AS_USER) node node_modules/jest/bin/jest.js $(if $(ONLY),--selectProjects $(ONLY)) $(ARGS)

verify: npm format-check lint types ## what CI runs: format, lint, types, import rules, all tests, a demo
	@$(MAKE) test
	@$(MAKE) demo

bench: install ## how fast, as ratios to the bare calls; ARGS=...
	@$(AS_USER) node dist/bench/main.js $(ARGS)

soak: install schemathesis vsphere-sim storage-image ## random incidents for as long as asked; SEEDS=10000
	@VMEDIC_SOAK=true VMEDIC_SEEDS=$(or $(SEEDS),10000) $(AS_USER) node node_modules/jest/bin/jest.js --selectProjects saga simulation $(ARGS)
	@VMEDIC_SOAK=true $(AS_USER) node node_modules/jest/bin/jest.js --selectProjects lab contracts --testPathPatterns 'nfs|volumes-return|lvm' $(ARGS)
	@VMEDIC_SOAK=true $(AS_USER) node node_modules/jest/bin/jest.js --selectProjects api --testPathPatterns 'schema-fuzz' $(ARGS)

install: packages npm build temporal ## everything the commands above need, and nothing else

packages:
	@lab/install/os-packages

monitoring:
	@lab/install/monitoring

schemathesis:
	@lab/install/schemathesis

hadolint:
	@lab/install/hadolint

node:
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 3) ? 0 : 1)' \
	  || { echo "Node.js 20.3 or newer is needed (https://nodejs.org)" >&2; exit 1; }

# Not `npm ci`: it refuses a lockfile that lacks the binaries of other platforms, and npm writes only those that its registry offered.
# This takes the same versions from the lockfile and leaves the file alone.
npm: node
	@test -e $(NPM_STAMP) || { echo "installing npm packages (about a minute the first time)" >&2 \
	  && npm install --no-save --no-audit --no-fund --loglevel=error && touch $(NPM_STAMP); }

build: npm dist/.built ## compile

dist/.built: $(SOURCES)
	@echo "compiling" >&2
	@npm run --silent build && touch dist/.built

temporal: build
	@$(AS_USER) node dist/workers/embedded/provision.js

temporal-cluster: build ## Temporal's server for PostgreSQL, where Go is there; tests that need it are left out elsewhere, and say so
	@$(AS_USER) node dist/lab/temporal/provision.js

vsphere-sim: build ## the vCenter simulator, where Go is there; tests that need it are left out elsewhere, and say so
	@$(AS_USER) node dist/lab/vsphere/provision.js

storage-image: build
	@$(AS_USER) node dist/lab/storage/provision.js

lint: npm ## eslint with type information
	@echo "linting" >&2
	@npm run --silent lint -- --cache --cache-location node_modules/.cache/eslint/

format: npm ## rewrite everything in the one format
	@npm run --silent format

format-check: npm
	@echo "checking the format" >&2
	@npm run --silent format:check

types: npm ## type-check everything, tests included
	@echo "checking types" >&2
	@npm run --silent typecheck

clean: ## what make built; not node_modules, and nothing outside the checkout
	@rm -rf dist node_modules/.cache
