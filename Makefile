# What a person types in this repository. `make help` lists it.
#
# Everything is set up on the way, from nothing but make, python3 (3.11 to 3.13) and python3-venv: a virtual environment
# in .venv, filled from the lock files. Delete it with `make clean`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-is-installed
DEV := $(VENV)/.dev-is-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A lock names all that is needed, with hashes: pip must not look for anything else, least of all for newer releases.
INSTALL_LOCKED := $(PIP) install --no-deps --require-hashes
INSTALL_CHECKOUT := $(PIP) install --no-build-isolation --no-deps --editable . --editable ./lab
CHECK_INSTALLED := $(BIN)/python -m pip --disable-pip-version-check check || { \
	echo "The packages in $(VENV) do not fit together. Begin anew: make clean $(MAKECMDGOALS)"; exit 1; }
PYTEST := $(BIN)/python -m pytest -q
# Twice as many tests at a time as there are cores: most of them wait for a disk, a clock or another process.
ON_ALL_CORES := -n $(shell echo $$((2 * $$(nproc)))) --dist worksteal
# Systems that are installed and started take minutes.
LONG := --timeout 900
RESULTS := bench-results
BENCH ?= bench_cli
BENCH_REPEATS ?= 1
COMPARE_REPEATS ?= 3
COVERAGE := --cov --cov-report=term --cov-fail-under=90
LOCK := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
SUBSET := $(LOCK) --no-annotate --constraint requirements-dev.lock
ROOTFS := build/rootfs
ROOTFS_DEBIAN_12 := build/rootfs-debian-12
# A hub that Ansible reaches by ssh. Off: all containers have the network of this machine.
SSH_SERVER := --include=openssh-server,sudo --customize-hook='chroot "$$1" systemctl disable ssh.service' \
	--customize-hook='rm "$$1"/etc/ssh/ssh_host_*'
RASPBERRY := build/raspberry
RASPBERRY_TOOLS := mmdebstrap qemu-user
I2C_VM := build/i2c-vm
ROOTFS_PACKAGES := python3,ca-certificates,systemd-sysv,libnss-systemd,dbus,polkitd,rauc,rauc-service,avahi-daemon,avahi-utils
# It was written for older versions of pandas and numpy, so it has an environment of its own, which is not locked.
ENERGY_STAR := build/energy-star
ENERGY_STAR_PACKAGES := thermostat==1.7.8 "setuptools<81"
WORKER := build/worker
WORKER_FILES := pyproject.toml README.md LICENSE requirements-worker.lock agent hal lab
WORKER_BASE ?= docker.io/library/python:$(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')-slim
CONTAINERS ?= $(notdir $(firstword $(shell command -v podman docker)))
DEMO_ARGS ?=
DEB_ARGS ?=
BOARD_ARGS ?=
TEST_ARGS ?=
WORKER_ARGS ?=
SOAK_ARGS ?=
RACES_SEED ?= 1
SOAK_EXAMPLES ?= 40000
SOAK_INPUTS ?= 200000
SOAK_DAYS ?= 365
SOAK_HISTORIES ?= 100000
SOAK_REQUESTS ?= 10000

.PHONY: help demo test quick check races lint bench bench-compare calibration soak sweeps campaigns interop energy-star install container release-upgrade raspberry chip-vm board-check deb worker-image lock vendor fmt picture clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: $(RUNTIME) ## watch a hub and its cloud (options: make demo DEMO_ARGS="--for 20")
	@$(BIN)/climahub demo $(DEMO_ARGS)

test: $(DEV) ## all tests
	@echo "all tests: a quarter of an hour or more on 2 cores (make quick leaves out the slow ones); skipped ones are listed at the end, with the reason"
	$(PYTEST) $(ON_ALL_CORES) $(TEST_ARGS)

quick: $(DEV) ## the tests that take no long time
	$(PYTEST) $(ON_ALL_CORES) -m "not slow"

check: lint ## what a change has to pass: lint, and tests with coverage (all but the slow ones)
	$(PYTEST) $(ON_ALL_CORES) -m "not slow" $(COVERAGE)

races: $(DEV) ## the tests of whole hubs on a machine where everything comes late (RACES_SEED=2 for other delays)
	$(PYTEST) $(ON_ALL_CORES) -p tests.races --races-seed $(RACES_SEED) tests/integration tests/browser

lint: $(DEV) ## format, lint, types, import walls, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(DEV) ## all measurements with load, medians and ranges, as JSON in bench-results/ (BENCH_REPEATS=3)
	@mkdir -p $(RESULTS)
	@for script in tests/bench/bench_*.py; do \
		name=$$(basename $$script .py); echo "$$name"; \
		$(BIN)/python tests/bench/paired.py $$name --repeats $(BENCH_REPEATS) -- \
			$$([ $$name != bench_comfort ] || echo --json) > $(RESULTS)/$$name.json || exit 1; \
		cat $(RESULTS)/$$name.json; \
	done

bench-compare: $(DEV) ## benches by turns with another revision: make bench-compare REV=HEAD~20 BENCH="bench_cli bench_wire"
	@for name in $(BENCH); do $(BIN)/python tests/bench/paired.py $$name --against $(REV) --repeats $(COMPARE_REPEATS); done

calibration: $(DEV) ## fit the confidence of predictive maintenance on simulated fleets, and judge it on others
	@$(BIN)/python -m lab.maintenance.calibration
	@$(BIN)/python -m lab.maintenance.machine_calibration
	@$(BIN)/python -m lab.maintenance.pipe_calibration

soak: campaigns sweeps ## long campaigns and every crash point (a slice: make campaigns SOAK_ARGS="--count 5")

sweeps: $(DEV)
	CLIMAHUB_STRIDE=1 $(PYTEST) $(ON_ALL_CORES) --timeout 0 -s tests/simulation -k wherever_the_world_stops
	CLIMAHUB_STRIDE=1 $(PYTEST) $(ON_ALL_CORES) --timeout 0 tests/integration/test_state_damage.py

campaigns: $(DEV)
	@mkdir -p $(RESULTS)
	$(BIN)/python tests/bench/soak_simulation.py --output $(RESULTS)/soak_simulation.json $(SOAK_ARGS)
	$(BIN)/python tests/bench/soak_simulation.py --pairing --count 50 --faults harsh \
		--output $(RESULTS)/soak_pairing.json $(SOAK_ARGS)
	$(BIN)/python tests/bench/soak_borders.py --examples $(SOAK_EXAMPLES) --output $(RESULTS)/soak_borders.json
	$(BIN)/python tests/bench/soak_port.py --inputs $(SOAK_INPUTS)
	$(BIN)/python tests/bench/soak_apis.py --requests $(SOAK_REQUESTS)
	$(BIN)/python tests/bench/soak_facts.py --histories $(SOAK_HISTORIES) --output $(RESULTS)/soak_facts.json
	$(BIN)/python tests/bench/soak_climate.py --days $(SOAK_DAYS) --output $(RESULTS)/soak_climate.json $(SOAK_ARGS)
	$(BIN)/python tests/bench/soak_houses.py --output $(RESULTS)/soak_houses.json $(SOAK_ARGS)
	$(BIN)/python tests/bench/soak_kill.py --output $(RESULTS)/soak_kill.json $(SOAK_ARGS)
	$(BIN)/python -m tests.replay --twice 8 --output $(RESULTS)/soak_replay.json $(SOAK_ARGS)
	$(BIN)/python tests/bench/bench_zigbee.py --count 20 --output $(RESULTS)/soak_zigbee.json $(SOAK_ARGS)

interop: $(DEV) ## zigbee-herdsman, from npm, against the emulated stick (needs Node.js)
	npm ci --prefix tests/interop --no-audit --no-fund
	$(BIN)/python tests/interop/run.py

energy-star: $(DEV) $(ENERGY_STAR)/.is-installed ## EPA's program for a thermostat's savings beside lab.comfort.savings (needs Python 3.11)
	$(BIN)/python tests/interop/savings.py $(ENERGY_STAR)/bin/python

install: ## set up as a newcomer does: with old and new pips, from an index that offers newer releases of everything
	$(PYTHON) tests/install/run.py

container: $(DEV) $(ROOTFS) ## the service under a real systemd, in a container (needs root, mmdebstrap, systemd-nspawn, ssh)
	CLIMAHUB_ROOTFS=$(abspath $(ROOTFS)) $(PYTEST) $(LONG) -p no:randomly tests/systemd

release-upgrade: $(DEV) $(ROOTFS) $(ROOTFS_DEBIAN_12) ## Debian 12 becomes 13 under a hub that heats (some minutes; needs what make container needs)
	CLIMAHUB_ROOTFS=$(abspath $(ROOTFS)) CLIMAHUB_ROOTFS_DEBIAN_12=$(abspath $(ROOTFS_DEBIAN_12)) \
		$(PYTEST) $(LONG) -s -p no:randomly tests/systemd/test_release_upgrade.py

raspberry: $(DEV) $(RASPBERRY)/system.cpio ## relays and I2C sensors on an emulated Raspberry Pi (needs mmdebstrap, qemu-user)
	CLIMAHUB_RASPBERRY=$(abspath $(RASPBERRY)) $(PYTEST) $(LONG) -p no:randomly tests/raspberry

chip-vm: $(DEV) $(I2C_VM)/system.cpio ## the kernel's own driver of a BME280 beside the hub's reader, in an emulated PC (needs QEMU, apt)
	CLIMAHUB_I2C_VM=$(abspath $(I2C_VM)) $(PYTEST) $(LONG) tests/i2c_vm

board-check: $(RUNTIME) ## on a real board: one report to send back (BOARD_ARGS="--output report.txt --lines 5,6 --led ACT")
	@$(BIN)/python -c 'import gpiod, smbus2' 2>/dev/null || $(INSTALL_LOCKED) -r requirements-hardware.lock
	@$(BIN)/python -m lab.board $(BOARD_ARGS)

deb: $(DEV) ## the Debian packages, in build/deb (one machine: make deb DEB_ARGS="--arch arm64")
	$(BIN)/python -m debian.build $(DEB_ARGS)

worker-image: | $(BIN)/python ## an image for scheduler and workers of `climahub simulate --on` (needs podman or docker)
	@test -n "$(CONTAINERS)" || { echo "make worker-image needs podman or docker. On Debian: sudo apt-get install podman"; exit 1; }
	rm -rf $(WORKER)
	mkdir -p $(WORKER)
	tar -c --exclude=__pycache__ $(WORKER_FILES) | tar -x -C $(WORKER)
	$(CONTAINERS) build $(WORKER_ARGS) --build-arg BASE=$(WORKER_BASE) --tag climahub-worker --file lab/Containerfile $(WORKER)

lock: ## work out the lock files anew (add --upgrade: make lock LOCK_ARGS=--upgrade)
	@test -x $(BIN)/pip-compile || $(MAKE) $(DEV)
	$(LOCK) $(LOCK_ARGS) --build-deps-for editable --extra dev --output-file requirements-dev.lock pyproject.toml
	$(SUBSET) --build-deps-for editable --extra simulation --output-file requirements-demo.lock pyproject.toml
	$(SUBSET) --build-deps-for editable --extra dask --extra simulation --output-file requirements-worker.lock pyproject.toml
	$(SUBSET) --extra gpio --extra i2c --extra opentherm --extra zigbee-znp --extra zigbee-deconz \
		--output-file requirements-hardware.lock pyproject.toml
	@# The extras name this project, which is installed from the checkout.
	@sed -i '/^# WARNING: pip install will require/,/^climahub @ /d' requirements-hardware.lock
	$(SUBSET) --output-file requirements.lock pyproject.toml
	$(SUBSET) --extra homekit --output-file requirements-homekit.lock pyproject.toml

vendor: $(DEV) ## fetch the page's libraries from npm again and compare them with those that are shipped (needs npm)
	$(BIN)/python tests/browser/revendor.py

fmt: $(DEV) ## format the code and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

picture: $(DEV) ## draw docs/demo.svg anew, and take docs/port.png (needs Chromium)
	$(BIN)/climahub demo --for 12 --svg docs/demo.svg
	$(BIN)/python tests/browser/picture.py

clean: ## take away everything that make has made
	rm -rf $(VENV) $(RESULTS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

$(ROOTFS):
	mkdir -p $(dir $@)
	mmdebstrap --quiet --variant=minbase --include=$(ROOTFS_PACKAGES) $(SSH_SERVER) trixie $@.part
	mv $@.part $@

$(ROOTFS_DEBIAN_12):
	mkdir -p $(dir $@)
	mmdebstrap --quiet --variant=minbase --include=$(ROOTFS_PACKAGES) bookworm $@.part
	mv $@.part $@

$(RASPBERRY)/system.cpio: requirements-hardware.lock tests/raspberry/image.py tests/raspberry/cpio.py | $(DEV)
	@if ! { command -v mmdebstrap && command -v qemu-aarch64; } >/dev/null; then \
		if [ "$$(id -u)" -ne 0 ]; then echo "On Debian: sudo apt-get install $(RASPBERRY_TOOLS)"; exit 1; fi; \
		apt-get update -q && apt-get install -q -y --no-install-recommends $(RASPBERRY_TOOLS); \
	fi
	@echo "making a system for the emulated Raspberry Pi (some minutes) ..."
	rm -rf $(RASPBERRY)
	$(BIN)/python -m tests.raspberry.image $(RASPBERRY)

$(I2C_VM)/system.cpio: tests/i2c_vm/image.py tests/raspberry/cpio.py | $(DEV)
	@command -v apt-get >/dev/null || { echo "make chip-vm takes its kernel from Debian's archive: run it on Debian"; exit 1; }
	@if ! command -v qemu-system-x86_64 >/dev/null; then \
		if [ "$$(id -u)" -ne 0 ]; then echo "On Debian: sudo apt-get install qemu-system-x86"; exit 1; fi; \
		apt-get update -q && apt-get install -q -y --no-install-recommends qemu-system-x86; \
	fi
	@echo "downloading Debian's kernel for the emulated PC (70 MB) ..."
	$(BIN)/python -m tests.i2c_vm.image $(I2C_VM)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "climahub needs Python 3.11, 3.12 or 3.13; $(PYTHON) is another or is missing."; \
		echo "Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python cannot make virtual environments here. On Debian: sudo apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)

$(ENERGY_STAR)/.is-installed: Makefile
	$(PYTHON) -m venv --clear $(ENERGY_STAR)
	$(ENERGY_STAR)/bin/python -m pip --disable-pip-version-check --quiet install --only-binary :all: $(ENERGY_STAR_PACKAGES)
	touch $@

$(RUNTIME): requirements-demo.lock pyproject.toml lab/pyproject.toml | $(BIN)/python
	@echo "installing what climahub needs ..."
	@$(INSTALL_LOCKED) -r requirements-demo.lock
	@$(INSTALL_CHECKOUT)
	@$(CHECK_INSTALLED)
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml lab/pyproject.toml | $(BIN)/python
	@echo "installing what the tests need ..."
	@$(INSTALL_LOCKED) -r requirements-dev.lock
	@$(INSTALL_CHECKOUT)
	@$(CHECK_INSTALLED)
	@touch $@ $(RUNTIME)
