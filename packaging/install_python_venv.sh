#!/bin/sh
# Debian ships Python's venv module as a package of its own.  Install it where
# this user may; otherwise say which command does.
set -u

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null && { [ -z "$as_root" ] || sudo -n true 2>/dev/null; }; then
    echo "Installing Debian's package python3-venv"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv && exit 0
fi
echo "Python's venv module is missing. Install it, as root: apt-get install python3-venv" >&2
exit 1
