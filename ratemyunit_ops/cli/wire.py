"""The only composition: settings -> adapters -> Outside. Everything heavy is imported here, late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratemyunit_ops import settings as settings_file
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.settings import Settings
from ratemyunit_ops.show.screen import Screen


@dataclass(frozen=True)
class Wired:
    """What a command works with."""

    outside: Outside
    settings: Settings
    screen: Screen
    places: Mapping[str, str]
    who: str

    def open_run(self) -> str:
        """Name the run that holds the environment. Raises Refused when there is none."""
        run = runs.open_run(self.outside)
        if run is None:
            raise Refused("no run is open here", next="rmu history")
        return run


def wire(env: str | None, *, as_json: bool = False, may_ask: bool = True) -> Wired:
    """Pick the environment, reach its account and compose the ports.

    Raises:
        Mistyped: settings or credentials are wrong.
        Refused: the account is not the one the environment names.
        Unreachable: nothing answers.
    """
    settings = settings_file.load(env)
    screen = Screen(as_json=as_json, may_ask=may_ask)
    screen.frame(settings.environment, settings.env.account or "?", settings.env.front_door)
    return compose(settings, screen)
