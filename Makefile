# Each target alone installs what is missing (cluster/setup-debian.sh), builds release, and does its work.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo study test bench dist clean

# Flags for a site's own Open MPI; empty with Debian's.
ENVIRONMENT := eval "$$(cluster/openmpi-env.sh)"

build:
	@cluster/setup-debian.sh
	@$(ENVIRONMENT); swift build -c release $${LORAM_LINK_FLAGS-}

# The whole method on a small model: pre-train, prune, train on four ranks, recover, compare.
demo: build
	@$(ENVIRONMENT); cluster/demo/run.sh

# Which parts of the method matter: figure 6 of the paper on a small model. STUDY_SEEDS=1 for a first look.
study: build
	@$(ENVIRONMENT); cluster/study/run.sh

# Tests run in release, a numerical test in debug takes many times as long, and share every object with the build: they import no
# internals (@testable), which would compile all twice.
test: build
	@$(ENVIRONMENT); swift test -c release --disable-testable-imports --disable-xctest $${LORAM_LINK_FLAGS-}

bench: build
	@$(ENVIRONMENT); .build/release/loram-mpi bench step

# dist/loram-mpi-VERSION: runs from any path, without Swift or root; MPI is the site's.
dist: build
	@$(ENVIRONMENT); cluster/make-dist.sh

clean:
	@swift package clean
