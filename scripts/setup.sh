#!/usr/bin/env bash
# Installs what building and testing Weft needs on Debian or Ubuntu. Idempotent: says what is there and what it adds.
set -euo pipefail
say() { printf 'setup: %s\n' "$*"; }
root=$(cd "$(dirname "$0")/.." && pwd)
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi

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
need node nodejs
need npm npm
need cc build-essential
[ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 || missing+=(libclang-dev)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing system packages: ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" ca-certificates >/dev/null
else
  say "system packages are installed"
fi

if ! command -v cargo >/dev/null 2>&1; then
  if [ -x "$HOME/.cargo/bin/cargo" ]; then
    export PATH="$HOME/.cargo/bin:$PATH"
  elif apt-cache show rustup >/dev/null 2>&1; then
    say "installing rustup"
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq rustup >/dev/null
  else
    say "error: no Rust toolchain. Next: install rustup from https://rustup.rs and run this again"
    exit 1
  fi
fi
cd "$root"
say "Rust: $(rustc --version)"

sysroot=$(rustc --print sysroot)
if [ -d "$sysroot/lib/rustlib/wasm32v1-none/lib" ]; then
  say "target wasm32v1-none is installed"
elif rustup target add wasm32v1-none >/dev/null 2>&1 && [ -d "$sysroot/lib/rustlib/wasm32v1-none/lib" ]; then
  say "added target wasm32v1-none"
elif [ -d /usr/lib/rustlib/wasm32v1-none/lib ] && rustup run debian rustc --version >/dev/null 2>&1; then
  say "target wasm32v1-none is installed in the toolchain 'debian'"
else
  say "rustup has no wasm32v1-none here: building it from Debian's Rust sources"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends rustc-web rust-web-src rust-web-llvm lld-22 >/dev/null
  rustup toolchain link debian /usr
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  mkdir -p "$tmp/src"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[lib]\ncrate-type = ["cdylib"]\n[profile.release]\npanic = "abort"\n' > "$tmp/Cargo.toml"
  printf '#![no_std]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n' > "$tmp/src/lib.rs"
  (cd "$tmp" && RUSTFLAGS="-C embed-bitcode=yes" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$tmp/target" rustup run debian cargo build -q --release --target wasm32v1-none -Zbuild-std=core,alloc)
  $sudo mkdir -p /usr/lib/rustlib/wasm32v1-none/lib
  $sudo cp "$tmp"/target/wasm32v1-none/release/deps/lib{core,alloc,compiler_builtins}-*.rlib /usr/lib/rustlib/wasm32v1-none/lib/
  target_dir=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/weft/target}
  rm -rf "$target_dir"/debug/wbuild
  say "built wasm32v1-none into /usr/lib/rustlib"
fi

if [ -f tests/clients/package-lock.json ]; then
  if [ -d tests/clients/node_modules ] && [ tests/clients/node_modules -nt tests/clients/package-lock.json ]; then
    say "client test packages are installed"
  else
    say "installing client test packages"
    (cd tests/clients && npm ci --silent --no-audit --no-fund && touch node_modules)
  fi
fi
say "done"
