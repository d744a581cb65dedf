# Weft: the commands people use. `make help` lists them.
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weft/target
export PATH := $(HOME)/.cargo/bin:$(PATH)
BIN := $(CARGO_TARGET_DIR)/debug
# Where rustup cannot download the wasm target, `make setup` builds it into the toolchain "debian".
WASM_ENV = $$(ls "$$(rustc --print sysroot)"/lib/rustlib/wasm32v1-none/lib/libcore-*.rlib >/dev/null 2>&1 || echo WASM_BUILD_TOOLCHAIN=debian)
SELECTION := --workspace --all-targets --locked

.PHONY: help setup build demo test test-unit test-long lint bench parity

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## install what building and testing needs; says what it does
	@scripts/setup.sh

build: setup ## build everything, the runtime blob included
	@env $(WASM_ENV) cargo build $(SELECTION)

demo: ## the whole job on a local chain; ARGS=--exit ends after the table
	@scripts/preflight.sh $(ARGS)
	@$(MAKE) --no-print-directory build
	@$(BIN)/weft-demo --bin-dir $(BIN) --fixtures fixtures $(ARGS)

test: setup ## all that decides a merge
	@scripts/lock-check.sh
	@env $(WASM_ENV) cargo build $(SELECTION)
	@env $(WASM_ENV) WEFT_BIN_DIR=$(BIN) cargo test --workspace --all-targets --locked

test-unit: ## primitives and pallets alone, same build selection
	@env $(WASM_ENV) scripts/test-unit.sh

test-long: setup ## long property runs, every f32 input, repeated end-to-end runs
	@env $(WASM_ENV) cargo build $(SELECTION)
	@env $(WASM_ENV) WEFT_LONG=1 PROPTEST_CASES=5000 WEFT_BIN_DIR=$(BIN) cargo test $(SELECTION)
	@for i in $$(seq 20); do \
		echo "dishonest oracles, run $$i of 20"; \
		out=$$(env $(WASM_ENV) WEFT_BIN_DIR=$(BIN) cargo test --workspace --locked --test e2e dishonest:: 2>&1) && \
			grep -q '^test result: ok. 1 passed' <<< "$$out" || { echo "$$out"; exit 1; }; \
	done

lint: ## formatting, clippy, rustdoc, licences
	@cargo fmt --all --check
	@SKIP_WASM_BUILD=1 cargo clippy $(SELECTION) -- -D warnings
	@SKIP_WASM_BUILD=1 RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@SKIP_WASM_BUILD=1 cargo check -p weft-node --features rocksdb --locked
	@SKIP_WASM_BUILD=1 cargo check -p weft-node --features try-runtime --locked
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo "lint: cargo-deny is not installed (cargo install cargo-deny): licence check skipped"; fi
	@for t in zepter taplo; do command -v $$t >/dev/null || echo "lint: $$t is not installed: its check is skipped"; done
	@if command -v zepter >/dev/null; then zepter run check; fi
	@if command -v taplo >/dev/null; then taplo fmt --check; fi

bench: build ## speed against the peers, as ratios
	@scripts/bench.sh

parity: ## recompute the golden vectors live with PyTorch and PEFT
	@tests/parity/python/run.sh
