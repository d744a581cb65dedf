#!/usr/bin/env bash
# Recomputes the golden vectors live with PyTorch, transformers and PEFT, and fails on drift.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=${WEFT_REF_VENV:-$HOME/.venvs/weft-ref}
if [ ! -x "$venv/bin/python" ]; then
  echo "parity: making $venv (torch and its libraries take a few GB)"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q -r tests/parity/python/requirements.txt
fi
exec "$venv/bin/python" tests/parity/python/golden.py --check
