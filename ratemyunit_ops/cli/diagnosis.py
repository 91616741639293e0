"""What `rmu doctor` does."""

from __future__ import annotations

from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.outside.machine import on_path, platform, terraform_version
from ratemyunit_ops.reports.doctor import examine, well


def tell(w: Wired) -> bool:
    """Look at everything and show it; tell whether all is well."""
    known = w.settings.env
    findings = examine(
        w.outside,
        environment=w.settings.environment,
        account=known.account,
        which=on_path,
        terraform=terraform_version(),
        machine=platform(),
        strict=known.confirm,
        tunnel=known.tunnel[0],
    )
    rows = [(f.name, f.verdict, f.seen, f.mend) for f in findings]
    if w.screen.as_json:
        w.screen.result({"well": well(findings), "findings": [f.model_dump() for f in findings]})
    else:
        w.screen.table("", ("what", "verdict", "seen", "mend"), rows)
    return well(findings)
