# Each target alone installs what is missing (cluster/setup-debian.sh), builds release, and does its work.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test bench clean

# Flags for a site's own Open MPI; empty with Debian's.
ENVIRONMENT := eval "$$(cluster/openmpi-env.sh)"

build:
	@cluster/setup-debian.sh
	@$(ENVIRONMENT); swift build -c release $${LORAM_LINK_FLAGS-}

# The whole method on a small model: pre-train, prune, train on four ranks, recover, compare.
demo: build
	@$(ENVIRONMENT); cluster/demo/run.sh

# Tests run in release, a numerical test in debug takes many times as long, and share every object with the build: they import no
# internals (@testable), which would compile all twice.
test: build
	@$(ENVIRONMENT); swift test -c release --disable-testable-imports --disable-xctest $${LORAM_LINK_FLAGS-}

bench: build
	@$(ENVIRONMENT); .build/release/loram-mpi bench step

clean:
	@swift package clean
