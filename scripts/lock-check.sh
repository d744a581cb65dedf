#!/usr/bin/env bash
# Fails unless Cargo.lock holds one polkadot-sdk release line and no RocksDB is built by default.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
for crate in sp-runtime sp-api sp-core sp-io frame-support sc-executor sc-network; do
  n=$(grep -c "^name = \"$crate\"\$" Cargo.lock || true)
  if [ "$n" -ne 1 ]; then
    echo "lock-check: $crate stands $n times in Cargo.lock, expected once: two polkadot-sdk release lines are mixed" >&2
    bad=1
  fi
done
if cargo tree --workspace --locked -i librocksdb-sys 2>/dev/null | grep -q librocksdb-sys; then
  echo "lock-check: librocksdb-sys is built by default; switch default features off on sc-cli and sc-service" >&2
  bad=1
fi
[ "$bad" -eq 0 ] && echo "lock-check: one release line, no RocksDB by default"
exit "$bad"
