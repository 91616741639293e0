"""The walls keeper: security groups of hosts, as rules on the twin's bridge. What no rule lets through is dropped.

Only who begins a TCP connection is judged, so answers pass. The twin's own addresses (metadata, DNS, AWS's names, the
balancers) stand on the bridge itself and are not behind it: they are reached as AWS's are.
"""

import subprocess
from typing import Any

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.site import Site


class Walls:
    """Security groups of hosts."""

    name = "walls"

    def __init__(self, site: Site, record: Record) -> None:
        self.site = site
        self._standing = ""

    def step(self, wanted: dict[str, Any]) -> None:
        """Build the walls anew when something about them has changed."""
        wished = ruleset(wanted["walls"])
        if wished == self._standing:
            return
        command = ["nsenter", f"--net={self.site.netns_file}", "--", "nft", "-f", "-"]
        done = subprocess.run(command, input=wished, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"nft: {done.stderr.strip()}", state="The walls stand as before.", next="rmu twin status")
        self._standing = wished
        say(f"walls: around {len(wanted['walls'])} hosts")


def ruleset(walls: list[dict[str, Any]]) -> str:
    """Write the walls down as nft reads them, in one piece: never is there a moment without."""
    lines = ["table bridge rmu", "delete table bridge rmu", "table bridge rmu {"]
    for n, wall in enumerate(walls):
        for way, far in (("in", "saddr"), ("out", "daddr")):
            lines.append(f"  chain {way}{n} {{")
            lines += [f"    ip {far} {net} tcp dport {first}-{last} return" for net, first, last in wall[way]]
            lines += ["    drop", "  }"]
    lines += ["  chain forward {", "    type filter hook forward priority 0; policy accept;"]
    begins = "ip protocol tcp tcp flags & (syn | ack) == syn"
    for n, wall in enumerate(walls):
        lines.append(f"    ip saddr {wall['address']} {begins} jump out{n}")
        lines.append(f"    ip daddr {wall['address']} {begins} jump in{n}")
    return "\n".join([*lines, "  }", "}", ""])
