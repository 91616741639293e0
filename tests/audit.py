"""Known vulnerabilities of the locked requirements, strictly: a package that could not be looked up is no clean bill.

pip-audit skips what it cannot look up, then reports "no known vulnerabilities"; this counts what it really asked about.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCKS = ("requirements/dev.txt", "app/requirements.txt")


def audit(lock: str) -> int:
    """Audit one lock file; answer how many things are wrong with it."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "-r", lock, "-f", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"{lock}: advisories could not be read: {asked.stderr.strip()[-300:]}")
        return 1
    skipped = [d for d in found if "skip_reason" in d]
    wrong = [(d["name"], v["id"]) for d in found for v in d.get("vulns", [])]
    for name, advisory in wrong:
        print(f"{lock}: {name}: {advisory}")
    if skipped or not found:
        print(f"{lock}: {len(skipped)} of {len(found)} packages could not be looked up: this proves nothing")
    return len(wrong) + len(skipped) + (not found)


if __name__ == "__main__":
    sys.exit(1 if sum(audit(lock) for lock in LOCKS if Path(lock).is_file()) else 0)
