#!/bin/sh
# The caller's own version of the host program, kept under its checksum until nobody has called it for a week.
set -eu
umask 022
: "${SSM_program:?}" "${SSM_request:?}"
versions=/usr/local/lib/rmu/versions
mkdir -p "$versions"
new=$(mktemp -d "$versions/.new-XXXXXX")
trap 'rm -rf "$new"' EXIT
printf %s "$SSM_program" | base64 -d | gunzip > "$new/rmu_host.py"
sum=$(sha256sum "$new/rmu_host.py" | cut -d ' ' -f 1)
mkdir -p "$versions/$sum"
touch "$versions/$sum"
[ -e "$versions/$sum/rmu_host.py" ] || mv "$new/rmu_host.py" "$versions/$sum/rmu_host.py"
find "$versions" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + || :
rm -rf "$new"
trap - EXIT
request=$SSM_request
unset SSM_program SSM_request
printf %s "$request" | base64 -d | python3 "$versions/$sum/rmu_host.py"
