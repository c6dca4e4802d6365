#!/usr/bin/env bash
# Chromium and its driver from the system's packages, where they may be installed. Elsewhere Selenium finds or fetches its own.
set -euo pipefail
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then root=""
elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then root="sudo -n"
else echo "no right to install system packages: Selenium will find or fetch a browser"; exit 0
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing Chromium and its driver from the system's packages ..."
if $root apt-get update -qq >/dev/null && $root apt-get install -y -qq chromium chromium-driver >/dev/null; then exit 0; fi
echo "the system's packages have no Chromium: Selenium will find or fetch a browser"
