"""main(): the commands by name, and errors turned into exit codes. No traceback reaches the screen."""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from ratemyunit_ops import __version__
from ratemyunit_ops.cli import (
    db,
    deploy,
    dr,
    host,
    image,
    incident,
    infra,
    logs,
    look,
    migrate,
    queue,
    run,
    runbook,
    secret,
    shell,
    slo,
    twin,
    web,
)
from ratemyunit_ops.errors import Bug, Interrupted, Mistyped, RmuError


class Stoppable(TyperGroup):
    """The commands. Ctrl-C and SIGTERM end one in three parts, unless a run listens to them."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed. Raises Interrupted, and what the command raises."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as why:
            raise _stopped() from why


app = typer.Typer(
    cls=Stoppable,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (look, logs, deploy, run, shell):
    module.register(app)
app.add_typer(infra.app, name="infra")
app.add_typer(image.app, name="image")
app.add_typer(host.app, name="host")
app.add_typer(secret.app, name="secret")
app.add_typer(queue.app, name="queue")
app.add_typer(migrate.app, name="migrate")
app.add_typer(db.app, name="db")
app.add_typer(dr.app, name="dr")
app.add_typer(incident.app, name="incident")
app.add_typer(slo.app, name="slo")
app.add_typer(runbook.app, name="runbook")
app.add_typer(web.app, name="web")
app.add_typer(twin.app, name="twin")


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Deploy RateMyUnit, look at it, and take it back.

    Example: rmu deploy v42 --env production --because "new search"
    """
    if show:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run a command and exit with its code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
    except RmuError as why:
        code = _say(why)
    except typer.TyperException as why:
        code = _mistyped(why)
    except typer.Abort:  # what is typed ended at a question
        code = _say(_stopped())
    except Exception:  # noqa: BLE001  (no traceback reaches an operator)
        code = _say(_as_bug())
    sys.exit(code)


def _stopped() -> Interrupted:
    return Interrupted(
        "stopped by Ctrl-C or SIGTERM, before a run began",
        state="There is nothing to resume; what the command had done without a run stays as it is.",
        next=f"{shlex.join(['rmu', *sys.argv[1:]])}   (the same again)",
    )


def _mistyped(why: typer.TyperException) -> int:
    """Say what was typed wrong. A command without arguments has shown its help already, as its message."""
    shows_help = type(why).__name__ == "NoArgsIsHelpError"
    if shows_help:
        typer.echo(why.format_message(), err=True)
        return why.exit_code
    words = [word for word in sys.argv[1:3] if not word.startswith("-")]
    known = {str(c.name or getattr(c.callback, "__name__", "")) for c in app.registered_commands} | {
        str(g.name) for g in app.registered_groups
    }
    named = " ".join(words[:1]) if words and words[0] in known else ""
    return _say(Mistyped(why.format_message(), next=f"rmu {named} --help".replace("  ", " ")))


def _as_bug() -> Bug:
    with tempfile.NamedTemporaryFile("w", prefix="rmu-", suffix=".txt", delete=False) as f:
        f.write(traceback.format_exc())
    last = traceback.format_exc().strip().splitlines()[-1]
    return Bug(
        f"a bug in rmu: {last}",
        state=f"The traceback is in {f.name}. A run that had begun is journaled.",
        next="rmu history",
    )


def _say(why: RmuError) -> int:
    from ratemyunit_ops.reports.runs import nothing_known
    from ratemyunit_ops.show.screen import Screen

    command = nothing_known(" ".join(sys.argv[1:3])) or nothing_known("".join(sys.argv[1:2]))
    Screen(as_json="--json" in sys.argv).failure(why, command)
    return why.exit_code
