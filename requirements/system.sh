#!/usr/bin/env bash
# Installs the Debian packages of system.txt that are missing, and says first which they are.
# No service is started or enabled: tests run private instances on their own ports.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v apt-get >/dev/null; then
  echo "This machine has no apt-get. Install what these Debian packages hold, then touch .venv/.system:" >&2
  grep -v '^#' system.txt >&2
  exit 1
fi
missing=()
while read -r package; do
  [[ $package =~ ^(#|$) ]] && continue
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done < system.txt
((${#missing[@]})) || exit 0
echo "Installing Debian packages: ${missing[*]}"
as_root=()
((EUID == 0)) || as_root=(sudo)
# Keeps packages from starting services of their own (invoke-rc.d asks this policy); ours is put back as it was.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
