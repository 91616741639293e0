#!/bin/bash
# Unpacks the first boot of an rmu host, and its program, into /usr/local/lib/rmu: EC2 takes 16 KB, packed as one they fit.
set -euo pipefail
umask 022
mkdir -p /usr/local/lib/rmu
cd /usr/local/lib/rmu
python3 -c '
import base64, lzma, os, sys, zipfile
script, *sources = lzma.decompress(base64.b64decode(sys.stdin.read())).decode().split("\0")
with open("first_boot.sh", "w") as f:
    f.write(script)
with zipfile.ZipFile("rmu_host.pyz.new", "w") as z:
    for name, text in zip(sources[::2], sources[1::2]):
        z.writestr(zipfile.ZipInfo(name), text)
os.replace("rmu_host.pyz.new", "rmu_host.pyz")
' <<'RMU-END'
{{ packed }}
RMU-END
exec bash first_boot.sh
