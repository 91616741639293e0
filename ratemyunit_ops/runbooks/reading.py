"""A runbook's file, read: one strict document, named as its file is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ratemyunit_ops.documents import Document, Finding, Place, Unreadable, read_documents
from ratemyunit_ops.runbooks.schema import Runbook


@dataclass(frozen=True)
class Page:
    """A runbook, and the document that it was read of."""

    document: Document
    runbook: Runbook

    def finding(self, place: Place, what: str) -> Finding:
        """Complain about a part."""
        return self.document.finding(place, what)


def read(path: Path) -> Page:
    """Read one file. Raises Unreadable, which names file, line and key of the first thing that is wrong."""
    documents = read_documents(path) or (Document(path, {}, {}),)
    if len(documents) > 1:
        raise documents[1].wrong((), "another document begins; a runbook is one")
    runbook = documents[0].read_as(Runbook)
    if runbook.name != path.stem:
        raise documents[0].wrong(("name",), f"{runbook.name} stands in {path.name}; the two are one")
    return Page(documents[0], runbook)


def read_or_complain(path: Path) -> Page | list[Finding]:
    """Read one file; answer all that is wrong with it where it cannot be read."""
    try:
        return read(path)
    except Unreadable as why:
        return list(why.findings)


def pages(folder: Path) -> list[Page]:
    """Read every runbook of a folder, by name. Raises Unreadable."""
    return [read(path) for path in sorted(folder.glob("*.yaml"))]
