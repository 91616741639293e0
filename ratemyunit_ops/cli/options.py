"""Options that several commands share, worded once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Env = Annotated[str | None, typer.Option("--env", help="Environment of rmu.toml; else RMU_ENV, else twin.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, progress as JSON lines on stderr.")]
Because = Annotated[str | None, typer.Option("--because", help="Why; kept in the journal.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
Step = Annotated[bool, typer.Option("--step", help="Ask before each step; no stops the run, resumable.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask (CI).")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; refuse instead.")]
Transport = Annotated[
    Literal["ssm", "ssh"], typer.Option("--transport", help="How hosts are reached; ssh is for the day SSM is dead.")
]
RunId = Annotated[str, typer.Argument(help="A run, as shown by `rmu history`.")]
