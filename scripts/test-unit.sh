#!/usr/bin/env bash
# Builds the one selection that every command builds and runs the test programs of primitives and pallets from it.
set -euo pipefail
cd -P "$(dirname "$0")/.."
list=$(mktemp)
trap 'rm -f "$list"' EXIT
cargo test --workspace --all-targets --locked --no-run --message-format=json > "$list"
programs=$(python3 - "$list" "$PWD" <<'P'
import json, sys
ours = (sys.argv[2] + "/primitives/", sys.argv[2] + "/pallets/")
for line in open(sys.argv[1]):
    if not line.startswith("{"):
        continue
    m = json.loads(line)
    if m.get("reason") != "compiler-artifact" or not m.get("executable") or not m["profile"]["test"]:
        continue
    # Registry crates have folders of these names too.
    if m["manifest_path"].startswith(ours):
        print(m["manifest_path"].rsplit("/", 1)[0], m["executable"], sep="\t")
P
)
[ -n "$programs" ] || { echo "test-unit: no test program was built" >&2; exit 1; }
while IFS=$'\t' read -r dir exe; do
  (cd "$dir" && CARGO_MANIFEST_DIR="$dir" "$exe" --quiet)
done <<< "$programs"
