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
# All of it is listed and searched here: asked for one package, cargo fails alike when it is absent and when it cannot say.
if ! tree=$(cargo tree --workspace --locked --prefix none --format '{p}'); then
  echo "lock-check: cargo cannot list the packages (see above): Cargo.lock does not fit the manifests, or the registry cannot be reached" >&2
  bad=1
elif grep -q '^librocksdb-sys ' <<< "$tree"; then
  echo "lock-check: librocksdb-sys is built by default; switch default features off on sc-cli and sc-service" >&2
  bad=1
fi
[ "$bad" -eq 0 ] && echo "lock-check: one release line, no RocksDB by default"
exit "$bad"
