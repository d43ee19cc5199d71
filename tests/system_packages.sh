#!/bin/sh
# Debian packages for the tests that run the real parts: a PostgreSQL server and a headless browser.
set -eu
missing=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v npm >/dev/null 2>&1 || missing="$missing npm"  # the accessibility checker comes through it
command -v chromium >/dev/null 2>&1 || missing="$missing chromium chromium-driver"
[ -z "$missing" ] && exit 0
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null || echo "could not install$missing: the tests that need it will skip"
