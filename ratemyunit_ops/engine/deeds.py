"""What is done by hand, beside all plans: no lease and no steps, but nothing that nobody hears of.

It is kept before it begins. A break-glass command must work while somebody else's run holds the environment, so the
lease is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ratemyunit_ops.errors import LedgerDown, RmuError
from ratemyunit_ops.model import Deed
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import deed_entry


@contextmanager
def kept(o: Outside, deed: Deed, unheard: Callable[[RmuError], None]) -> Iterator[Callable[[str], None]]:
    """Keep a deed while the block does it; the block says how it ended. `unheard`: its end could not be kept.

    Raises LedgerDown, before anything is done, where its beginning cannot be kept.
    """
    try:
        o.ledger.write([deed_entry(deed)], token=None)
    except LedgerDown as why:
        raise LedgerDown(
            f"what is done on a host is written down first, and the ledger does not answer: {why.what}",
            next="the same with --journal ./journal: it is kept in that folder",
        ) from why
    said: list[str] = []
    try:
        yield said.append
    except BaseException as why:
        said.append(why.what if isinstance(why, RmuError) else type(why).__name__)
        raise
    finally:
        ended = deed.model_copy(update={"ended": o.clock.now(), "outcome": said[-1] if said else ""})
        try:
            o.ledger.write([deed_entry(ended)], token=None)
        except RmuError as why:
            unheard(why)
