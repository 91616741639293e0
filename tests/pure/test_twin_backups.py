"""When the local AWS takes an automated backup of a database."""

from __future__ import annotations

from pathlib import Path

from ratemyunit_ops.twin.keepers.backups import Store
from ratemyunit_ops.twin.site import Site

DAY = 86_400.0


def test_a_backup_is_due_at_first_once_a_day_and_once_for_each_time_that_somebody_asks(tmp_path: Path) -> None:
    store = Store(Site(name="test", state_root=tmp_path), "db-A")
    first = store.due(DAY, 0.0)
    (tmp_path / "test/backups/db-A/base/one.new").mkdir(parents=True)
    ended = float(store.finish("one"))

    soon, later = store.due(DAY, ended + 60), store.due(DAY, ended + DAY)
    store.ask()
    asked = [store.due(DAY, ended + 60) for _ in range(2)]

    assert (first, soon, later, asked) == (True, False, True, [True, False])
