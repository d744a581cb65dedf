#!/usr/bin/env bash
# Refuses, before anything is built, what would stop the demo after a long build: a taken port, a short disk.
# Takes the demo's arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { # cause, next step
  printf 'error: %s. Next: %s\n' "$1" "$2" >&2
  exit 1
}

case " $* " in
*" --any-port "*) ;;
*)
  for port in 9944 30333 8000 8001; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      fail "port $port on 127.0.0.1 is taken" "stop the program that uses it (\`ss -ltnp 'sport = :$port'\` names it), or run beside it: make demo ARGS=--any-port"
    fi
  done
  ;;
esac

# Megabytes that a folder, or the nearest one above it that exists, has free.
free_mb() {
  local dir=$1
  while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
  df -Pk "$dir" | awk 'NR == 2 { print int($4 / 1024) }'
}
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/weft/target}
needed=15000
if [ -x "$target/debug/weft-demo" ]; then
  needed=3000 # what changed is built again
elif [ -d "$target" ]; then
  built=$(du -sk "$target" | awk '{ print int($1 / 1024) }')
  needed=$((needed - built > 3000 ? needed - built : 3000))
fi
free=$(free_mb "$target")
[ "$free" -ge "$needed" ] ||
  fail "$target has $free MB free, the build needs $needed MB" "free some space, or set CARGO_TARGET_DIR to a folder on a larger disk"
