#!/usr/bin/env bash
# Installs what building and testing Weft needs on Debian or Ubuntu. Idempotent: says what is there and what it adds.
set -euo pipefail
say() { printf 'setup: %s\n' "$*"; }
fail() { # cause, next step
  printf 'setup: error: %s. Next: %s\n' "$1" "$2" >&2
  exit 1
}
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$HOME/.cargo/bin:$PATH"

log=$(mktemp)
tmp=$(mktemp -d)
trap 'rm -rf "$log" "$tmp"' EXIT
# Runs a command quietly; shows what it said when it fails.
quietly() {
  "$@" >"$log" 2>&1 && return 0
  cat "$log" >&2
  return 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}
install() { # packages
  command -v apt-get >/dev/null 2>&1 ||
    fail "this system has no apt-get, and these packages are missing: $*" "install what corresponds to them and run this again"
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1 ||
    fail "these packages are missing, and there is no sudo to install them: $*" "as root, run: apt-get install $*"
  quietly as_root apt-get update -qq || fail "apt-get cannot read the package lists" "see the message above"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ca-certificates ||
    fail "apt-get cannot install $*" "see the message above"
}

missing=()
need() { # command package
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need clang clang
need protoc protobuf-compiler
need cmake cmake
need pkg-config pkg-config
need make make
need curl curl
need git git
need python3 python3
need node nodejs
need npm npm
need cc build-essential
[ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null || missing+=(libclang-dev)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing system packages: ${missing[*]}"
  install "${missing[@]}"
else
  say "system packages are installed"
fi

node_major=$(node -p 'process.versions.node.split(".")[0]')
[ "$node_major" -ge 18 ] ||
  fail "node is version $(node --version), the client tests need 18 or later" "install Node 18 or later (Debian 12 and Ubuntu 24.04 package one; else https://nodejs.org) and run this again"

cd "$root"
channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
if ! command -v cargo >/dev/null 2>&1; then
  if curl --proto '=https' --tlsv1.2 -fsSL --max-time 60 https://sh.rustup.rs -o "$tmp/rustup.sh" 2>"$log"; then
    say "installing rustup and Rust $channel into $HOME/.cargo and $HOME/.rustup"
    quietly sh "$tmp/rustup.sh" -y --no-modify-path --profile minimal --component clippy --component rustfmt --default-toolchain "$channel" ||
      fail "rustup's installer failed" "see the message above, or install rustup from https://rustup.rs, and run this again"
  elif apt-cache show rustup >/dev/null 2>&1; then
    say "https://sh.rustup.rs cannot be reached: installing the system's rustup"
    install rustup
  else
    fail "there is no Rust toolchain and https://sh.rustup.rs cannot be reached ($(tail -n 1 "$log"))" "install rustup from https://rustup.rs and run this again"
  fi
fi
command -v rustup >/dev/null 2>&1 ||
  fail "cargo is installed without rustup, which chooses Rust $channel and its wasm target" "install rustup from https://rustup.rs and run this again"
if ! rustc --version >/dev/null 2>&1; then
  say "installing Rust $channel"
  quietly rustup toolchain install "$channel" --profile minimal --component clippy --component rustfmt ||
    fail "rustup cannot install Rust $channel" "see the message above"
fi
say "Rust: $(rustc --version)"

# An interrupted installation leaves the folder: the compiled core library is the proof.
has_wasm() { # sysroot
  compgen -G "$1/lib/rustlib/wasm32v1-none/lib/libcore-*.rlib" >/dev/null
}
sysroot=$(rustc --print sysroot)
if has_wasm "$sysroot"; then
  say "target wasm32v1-none is installed"
elif rustup target add wasm32v1-none >"$log" 2>&1 && has_wasm "$sysroot"; then
  say "added target wasm32v1-none"
elif has_wasm /usr && rustup run debian rustc --version >/dev/null 2>&1; then
  say "target wasm32v1-none is installed in the toolchain 'debian'"
else
  say "rustup has no wasm32v1-none here ($(tail -n 1 "$log")): building it from Debian's Rust sources"
  apt-cache show rust-web-src >/dev/null 2>&1 || as_root apt-get update -qq || true
  apt-cache show rust-web-src >/dev/null 2>&1 ||
    fail "rustup cannot download the target wasm32v1-none, and this system packages no sources to build it from" "run this where rustup can download, or install the target by hand: rustup target add wasm32v1-none"
  install rustc-web rust-web-src rust-web-llvm lld-22
  quietly rustup toolchain link debian /usr || fail "rustup cannot link the system's Rust" "see the message above"
  mkdir -p "$tmp/src"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[lib]\ncrate-type = ["cdylib"]\n[profile.release]\npanic = "abort"\n' > "$tmp/Cargo.toml"
  printf '#![no_std]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n' > "$tmp/src/lib.rs"
  (cd "$tmp" && quietly env RUSTFLAGS="-C embed-bitcode=yes" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$tmp/target" rustup run debian cargo build -q --release --target wasm32v1-none -Zbuild-std=core,alloc) ||
    fail "the target wasm32v1-none does not build" "see the message above"
  as_root mkdir -p /usr/lib/rustlib/wasm32v1-none/lib
  as_root cp "$tmp"/target/wasm32v1-none/release/deps/lib{core,alloc,compiler_builtins}-*.rlib /usr/lib/rustlib/wasm32v1-none/lib/
  target_dir=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/weft/target}
  rm -rf "$target_dir"/debug/wbuild
  say "built wasm32v1-none into /usr/lib/rustlib"
fi

if [ -d tests/clients/node_modules ] && [ tests/clients/node_modules -nt tests/clients/package-lock.json ]; then
  say "client test packages are installed"
else
  say "installing client test packages"
  (cd tests/clients && quietly npm ci --no-audit --no-fund && touch node_modules) ||
    fail "npm ci in tests/clients failed" "see the message above; the packages come from the npm registry"
fi
say "done"
