# The habit in front of meson. Everything is built in build/; `make help` lists the rest.
PREFIX ?= /usr/local
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/install-deps build
	@meson setup $(BUILD) --prefix $(PREFIX) >/dev/null

demo: ## a pod from start to end, on this machine, and nothing left behind (IMAGE=host/name:tag)
	@tools/install-deps build
	@$(MAKE) --no-print-directory all >/dev/null
	@tools/demo $(BUILD) $(IMAGE)

check: ## all tests: unit, fuzz corpus, integration, virtual machine, sanitizers
	@tools/install-deps check
	@tests/run

faults: all ## the whole fault matrix, also of containerd, to docs/faults.md (FAULTS_SECONDS: at most, a part)
	@tools/install-deps check
	@mkdir -p $(BUILD)/fault-reports
	@FAULTS=all FAULTS_REPORTS=$(abspath $(BUILD))/fault-reports bats tests/faults/*.bats
	@CRI_PEER=containerd FAULTS=all FAULTS_REPORTS=$(abspath $(BUILD))/fault-reports bats tests/faults/matrix.bats tests/faults/outside.bats || true
	@tests/faults/report $(BUILD)/fault-reports >docs/faults.md

compare: all ## the suites of the runtime against runc 1.3 and crun 1.28: differences that are not listed
	@tests/oci/compare runc; status=$$?; tests/oci/compare crun && exit $$status

bench: all ## timings beside runc, crun and containerd, as a table
	@tools/install-deps check
	@tests/bench/run $(BUILD)

install: all ## into PREFIX (and DESTDIR): programs, unit, default configuration
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(DESTDIR))

clean: ## removes what was built
	@rm -rf build build-san

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

.PHONY: all demo check faults compare bench install clean help
