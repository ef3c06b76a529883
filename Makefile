# The words of this project. `make` lists them.

VENV ?= .venv
# The first Python that is new enough; a name on PATH may be a shim for one that is not installed.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
ARGS ?=

bin := $(VENV)/bin
typed_pxd := $(wildcard greenws/*/*.pxd)
compiled := $(wildcard greenws/*/*.pyx) $(typed_pxd) $(wildcard $(typed_pxd:.pxd=.py))
package := setup.py setup.cfg pyproject.toml $(compiled)

.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all style types layers coverage clean

help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## everything that the words below need, in .venv

demo: $(VENV)/.run ## a chat in the browser
	@$(bin)/greenws demo $(ARGS)

test: setup ## the tests (ARGS="-k close" for some of them)
	@$(bin)/python -m pytest $(ARGS)

test-all: ## the tests on each Python from 3.11 to 3.14 that runs here
	@ran=; \
	for version in 3.11 3.12 3.13 3.14; do \
		for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python$$version; do \
			$$python -c 'import ensurepip' 2>/dev/null || continue; \
			echo "== Python $$version"; \
			$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
			ran="$$ran $$version"; \
			break; \
		done; \
	done; \
	echo "== the tests passed on Python:$${ran:- none is installed}"; test -n "$$ran"

style: setup ## ruff: rules and format
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .

types: setup ## mypy, strict
	@$(bin)/mypy

layers: setup ## imports point inwards only
	@$(bin)/python .ci/layers.py

coverage: setup ## every branch of greenws/protocol, by its own tests
	@$(bin)/coverage run -m pytest -qq tests/protocol -k "not no_long_time and not compiled" # traced, all takes long
	@$(bin)/coverage report

clean: ## removes what all of this made
	rm -rf .venv .venv-3.1? build dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -f greenws/_build.json greenws/*/*.so greenws/*/*.c
	find greenws tests -name __pycache__ -prune -exec rm -rf {} +

# A stamp is newer than all it was made from. Who has everything has what the demo needs.
$(VENV)/.dev: $(VENV)/.made $(package)
	@echo "installing GreenWS and its tools into $(VENV)"
	@$(bin)/python -m pip install -qq --disable-pip-version-check -e '.[test,dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.run: $(VENV)/.made $(package)
	@echo "installing GreenWS into $(VENV)"
	@$(bin)/python -m pip install -qq --disable-pip-version-check -e .
	@touch $@

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "GreenWS needs Python 3.11 or newer, and there is none on PATH."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || { \
		echo "$(PYTHON) has no C headers. On Debian or Ubuntu: apt-get install python3-dev"; exit 1; }
	@command -v cc >/dev/null || { echo "There is no C compiler. On Debian or Ubuntu: apt-get install gcc libc6-dev"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

.PHONY: bench bench-quick bench-compare bench-codec bench-syscalls bench-publish
BASE ?= main

bench: $(VENV)/.bench ## GreenWS and its peers side by side, about half an hour
	@$(bin)/python -m benchmarks.run $(ARGS)

bench-quick: $(VENV)/.bench ## the same with few peers and short rounds
	@$(bin)/python -m benchmarks.run --quick $(ARGS)

bench-compare: $(VENV)/.bench ## this tree and BASE=main taking turns: what differs beyond the spread
	@$(bin)/python -m benchmarks.compare $(BASE) $(ARGS)

bench-codec: $(VENV)/.bench ## the codec alone, nanoseconds for each frame
	@$(bin)/python -m pytest benchmarks/codec -q --benchmark-columns=median,iqr,rounds $(ARGS)

bench-syscalls: $(VENV)/.bench ## system calls for each message (strace)
	@$(bin)/python -m benchmarks.syscalls $(ARGS)

bench-publish: $(VENV)/.bench ## the last run's tables and pictures, into docs/benchmarks.md
	@$(bin)/python -m benchmarks.publish

$(VENV)/.bench: $(VENV)/.dev
	@$(bin)/python -m pip install -qq --disable-pip-version-check -e '.[bench]'
	@mkdir -p .cache/bench
	@touch $@

.PHONY: capacity-100k
capacity-100k: setup ## 100,000 connections on this machine, held for a minute (Linux; 2 GB of memory; ARGS="--connections 19000 --workers 1")
	@$(bin)/python -m benchmarks.hundred_thousand $(ARGS)

.PHONY: capacity
capacity: $(VENV)/.bench ## ten thousand connections by locust, held and measured: a report as one HTML page, 5 minutes (Linux)
	@ulimit -n 20000 && $(bin)/python -m capacity $(ARGS)

.PHONY: autobahn autobahn-short
autobahn: setup .cache/autobahn/wstest ## Autobahn|Testsuite, all cases, as server and as client: an hour (x86-64 Debian)
	@$(bin)/python -m tests.interop.autobahn.run $(ARGS)

autobahn-short: setup .cache/autobahn/wstest ## the same without the many and large messages of 9.*, 12.* and 13.*
	@$(bin)/python -m tests.interop.autobahn.run --short $(ARGS)

.cache/autobahn/wstest: tests/interop/autobahn/setup.sh tests/interop/autobahn/pins.txt | setup
	@PATH="$(abspath $(bin)):$$PATH" tests/interop/autobahn/setup.sh $(@D)

.PHONY: faults
FAULTS ?=
faults: setup ## what happens when things go wrong, measured (FAULTS="drain kill" for some; minutes; 20,000 descriptors)
	@ulimit -n 20000 && $(bin)/python -m faults $(FAULTS)

.PHONY: soak
MINUTES ?= 60
soak: setup ## MINUTES=60 at 5,000 connections, twenty of them new each second: memory, descriptors, p99
	@ulimit -n 20000 && $(bin)/python -m faults.soak $(MINUTES)

.PHONY: pool-faults
pool-faults: setup ## LEASES=50000 of a pool whose upstream resets, stalls and hangs up
	@nice -n 10 $(bin)/python -m tests.client.faults $(or $(LEASES),50000)

.PHONY: floods
floods: setup ## what hostile floods cost a server: memory, time, and who is served meanwhile (Linux)
	@$(bin)/python -m tests.hostile.floods

.PHONY: fuzz differential mutants
SECONDS ?= 30
COUNT ?= 1000000
targets := frames heads extensions upgrade answer deflate

fuzz: $(VENV)/.fuzz ## any bytes to everything that reads a peer's, SECONDS=30 each, one for each core at a time
	@$(MAKE) --no-print-directory -j$$(getconf _NPROCESSORS_ONLN) $(addprefix fuzz-,$(targets))

fuzz-%: $(VENV)/.fuzz
	@mkdir -p .cache/fuzz/$*
	@$(bin)/python -m fuzz.$* -max_total_time=$(SECONDS) -timeout=10 -max_len=4096 -artifact_prefix=.cache/fuzz/$*- \
		.cache/fuzz/$* fuzz/seeds/$* >.cache/fuzz/$*.log 2>&1 || { \
		cat .cache/fuzz/$*.log; echo "The bytes are in .cache/fuzz/$*-*. Keep them in fuzz/seeds/$*."; exit 1; }
	@echo "$*: $$(tail -n 1 .cache/fuzz/$*.log)"

$(VENV)/.fuzz: $(VENV)/.dev
	@$(bin)/python -m pip install -qq --disable-pip-version-check -e '.[fuzz]'
	@$(bin)/python -c 'import atheris' 2>/dev/null || { \
		echo "make fuzz needs atheris, which has wheels for CPython 3.11 to 3.14 on x86-64 Linux only."; exit 1; }
	@touch $@

differential: setup ## COUNT=1000000 streams, read by us, websockets and wsproto
	@nice -n 10 $(bin)/python -m tests.interop.differential.run $(COUNT)

mutants: $(VENV)/.mutation ## faults in greenws/protocol, which its tests must notice: over an hour (ARGS="frames --sample 50")
	@nice -n 10 $(bin)/python -m tests.mutation.run $(ARGS)

$(VENV)/.mutation: $(VENV)/.dev
	@$(bin)/python -m pip install -qq --disable-pip-version-check -e '.[mutation]'
	@touch $@
