#!/bin/sh
# The whole of SSM document rmu-ENV-host. Both parameters are base64, so nothing of them is ever read as shell.
set -eu
umask 077
place=$(mktemp -d /run/rmu-request.XXXXXX)
trap 'rm -rf "$place"' EXIT
printf %s '{{ Program }}' | base64 -d | gunzip > "$place/rmu_host.pyz"
printf %s '{{ Request }}' | base64 -d | python3 -I "$place/rmu_host.pyz" request
