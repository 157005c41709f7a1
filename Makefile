# `make demo` and `make test` do all that a fresh machine with a Rust toolchain needs, then their job.

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
MERIT = $(CARGO_TARGET_DIR)/release/merit

.PHONY: demo test setup build

# Trains a smax/3m team with the shipped defaults; prints its win rate before and after and where the run lies.
demo: setup
	$(MERIT) demo

# The same profile and features as the program, so that burn is built once for both.
test: setup
	cargo test --release --workspace

# After the build: only the program itself can say whether this machine has an adapter that it can use.
setup: build
	@scripts/setup.sh $(MERIT)

build:
	cargo build --release --workspace
