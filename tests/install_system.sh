#!/usr/bin/env bash
# Install the programs that the tests drive (Chromium, strace, a C compiler) where this may be done: as root on Debian or Ubuntu.
# Elsewhere it does nothing, and the tests that need them skip and say so; in CI (CI=true) they fail instead.
set -euo pipefail

missing=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v strace >/dev/null || missing+=(strace)
command -v cc >/dev/null || command -v gcc >/dev/null || missing+=(gcc libc6-dev)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=900 update
  apt-get -qq -o DPkg::Lock::Timeout=900 install -y --no-install-recommends "${missing[@]}"
else
  echo "not installed: ${missing[*]} (needs root and apt-get); tests that need them will be skipped"
fi
