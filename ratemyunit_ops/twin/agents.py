"""The twin's two agent packages, served where AWS serves its own, so that user data installs them unaware.

They are small: the SSM agent runs the scripts that the gate hands out and tells what became of them; the CloudWatch
agent puts memory and disk use. Both are stdlib Python plus the boto3 that every host has.
"""

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin.site import Site

_AGENTS = ("amazon-ssm-agent", "amazon-cloudwatch-agent")


def urls(site: Site) -> dict[str, str]:
    """Answer where AWS serves each agent (HOST/PATH, no scheme), and which agent that is."""
    r = site.region
    return {
        f"s3.{r}.amazonaws.com/amazon-ssm-{r}/latest/debian_amd64/amazon-ssm-agent.deb": _AGENTS[0],
        f"amazoncloudwatch-agent-{r}.s3.{r}.amazonaws.com/debian/amd64/latest/amazon-cloudwatch-agent.deb": _AGENTS[1],
    }


def build(site: Site) -> dict[str, Path]:
    """Build both packages; answer HOST/PATH -> file.

    Raises Failed when dpkg-deb refuses one.
    """
    return {url: _package(site, agent) for url, agent in urls(site).items()}


def _package(site: Site, agent: str) -> Path:
    """Pack `guest/AGENT`, a tree laid out as on the host, with DEBIAN/control and scripts."""
    root = site.state_dir / "agents" / agent
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(Path(str(files("ratemyunit_ops.twin"))) / "guest" / agent, root)
    for path in root.rglob("*"):
        # Wheels and checkouts forget modes; what starts with an interpreter line is a program.
        path.chmod(0o755 if path.is_dir() or path.read_bytes().startswith(b"#!") else 0o644)
    package = root.with_suffix(".deb")
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(package)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"dpkg-deb: {done.stderr.strip()[-300:]}", state="The twin is half up.", next="rmu twin down")
    return package
