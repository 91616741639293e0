#!/bin/sh
# Becomes the command itself: its output and its exit code are the answer.
set -eu
exec python3 -c '
import base64, json, os, sys
argv = json.loads(base64.b64decode(os.environ.pop("SSM_argv")))
try:
    os.execvp(argv[0], argv)
except OSError as why:
    sys.exit(f"{argv[0]}: {why.strerror}")
'
