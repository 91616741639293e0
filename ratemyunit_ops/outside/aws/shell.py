"""Commands on hosts through the SSM document of `rmu exec`: a list of arguments, never a shell string."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import timedelta

from ratemyunit_ops.outside.aws.ssm import Commands, Script, was_cut
from ratemyunit_ops.ports import CommandResult

CUT = "\n(SSM kept only the first 24,000 characters)\n"


class SsmShell:
    """Run argv on hosts."""

    def __init__(self, commands: Commands, document: str) -> None:
        self._commands = commands
        self._document = document

    def run(self, argv: Sequence[str], *, hosts: Sequence[str], deadline: timedelta) -> tuple[CommandResult, ...]:
        """Run argv on each host and wait for its end. Raises Unreachable, Failed."""
        # base64, because arguments in the clear would stand in SSM's history and `{{` in them would be replaced.
        encoded = base64.b64encode(json.dumps(list(argv)).encode()).decode()
        script = Script(self._document, {"argv": encoded}, "exec")
        results = self._commands.run(script, hosts, deadline=deadline)
        return tuple(r.model_copy(update={"stderr": r.stderr + CUT, "cut": True}) if was_cut(r) else r for r in results)
