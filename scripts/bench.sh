#!/usr/bin/env bash
# Speed against the peers, as ratios measured side by side in one run, with the results checked equal.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/weft/target}/debug
venv=${WEFT_REF_VENV:-$HOME/.venvs/weft-ref}
if [ ! -x "$venv/bin/python" ]; then
  echo "bench: no Python environment with torch, transformers and peft at $venv." >&2
  echo "       Next: python3 -m venv $venv && $venv/bin/pip install -r tests/parity/python/requirements.txt" >&2
  exit 1
fi
exec "$venv/bin/python" tests/parity/python/bench.py --weft "$bin/examples/bench_train" --base fixtures/base "$@"
