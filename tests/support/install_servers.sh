#!/bin/sh
# Install what the tests drive besides Python, where it is missing and this
# user may: Chromium and PostgreSQL from Debian's packages.  Where that cannot
# be done, the tests that need them are skipped and listed at the end.
set -u

missing=""
command -v chromium >/dev/null || missing="$missing chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || { echo "Not installed, because that needs root:$missing"; exit 0; }
    as_root="sudo -n"
fi
command -v apt-get >/dev/null || { echo "Not installed, because there is no apt-get:$missing"; exit 0; }

echo "Installing from Debian's packages:$missing"
# Debian starts a cluster of its own after the installation; the tests want only the programs.
$as_root mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || \
    echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
$as_root apt-get update -qq
# shellcheck disable=SC2086 - a list of package names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold $missing \
    || echo "The installation failed; the tests that need it are skipped."
exit 0
