"""main(): the commands by name, and errors turned into exit codes. No traceback reaches the screen."""

from __future__ import annotations

import sys
import tempfile
import traceback

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli import deploy, host, image, infra, look, run, shell, twin
from ratemyunit_ops.errors import Bug, RmuError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (look, deploy, run, shell):
    module.register(app)
app.add_typer(infra.app, name="infra")
app.add_typer(image.app, name="image")
app.add_typer(host.app, name="host")
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
    try:
        app()
    except RmuError as why:
        _say(why)
        sys.exit(why.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except Exception:  # noqa: BLE001  (no traceback reaches an operator)
        bug = _as_bug()
        _say(bug)
        sys.exit(bug.exit_code)


def _as_bug() -> Bug:
    with tempfile.NamedTemporaryFile("w", prefix="rmu-", suffix=".txt", delete=False) as f:
        f.write(traceback.format_exc())
    last = traceback.format_exc().strip().splitlines()[-1]
    return Bug(
        f"a bug in rmu: {last}",
        state=f"The traceback is in {f.name}. A run that had begun is journaled.",
        next="rmu history",
    )


def _say(why: RmuError) -> None:
    from ratemyunit_ops.show.screen import Screen

    Screen(as_json="--json" in sys.argv).failure(why)
