"""What `rmu image` does with the registry."""

from __future__ import annotations

import typer

from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import Refused
from ratemyunit_ops.steps.checks import scanned


def push_version(w: Wired, version: str) -> None:
    """Build or find the image and push it. Raises Refused when the version names another digest already."""
    with w.screen.working(f"building {version}"):
        built = w.builder().build(w.settings.root / "app", on_line=w.screen.detail)
    there = w.outside.registry.image(version)
    if there is not None and there.digest != built.digest:
        raise Refused(
            f"the registry has a {version} already, made of another tree ({there.digest[:19]}); tags are immutable",
            next="rmu image push NEW_VERSION",
        )
    with w.screen.working(f"pushing {version}"):
        digest = there.digest if there else w.builder().push(built, version=version, on_line=w.screen.detail)
    w.screen.result({"version": version, "digest": digest}, [f"{version}: {digest} is in the registry"])


def scan_version(w: Wired, version: str) -> None:
    """Show one image's findings. Exits with 3 where some are CRITICAL and the environment does not waive them."""
    with w.screen.working(f"waiting for the scan of {version}"):
        image = scanned(w.outside, version)
    if image is None:
        raise Refused(f"the registry has no image {version}", next=f"rmu image push {version}")
    waived = image.scan == "critical" and version in w.settings.env.allow_critical_findings
    document = {
        "version": version,
        "digest": image.digest,
        "scan": image.scan,
        "critical": image.findings,
        "waived": waived,
    }
    if image.scan == "critical" and not waived:
        why = Refused(
            f"the scan of {version} found {image.findings} CRITICAL findings",
            next=f'rmu image push NEW_VERSION   (or add "{version}" to allow_critical_findings in'
            f" [env.{w.settings.environment}] of rmu.toml)",
        )
        w.screen.failure(why, document)
        raise typer.Exit(why.exit_code)
    said = f"{version}: {image.scan}, {image.findings} CRITICAL findings"
    w.screen.result(document, [f"{said}, waived in rmu.toml" if waived else said])
