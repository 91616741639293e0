"""Cursors: where a page ended, packed so that a client hands it back as it is."""

from base64 import urlsafe_b64decode, urlsafe_b64encode


class CursorWrong(ValueError):
    """The cursor is not one that was given for this list."""


def packed(text: str) -> str:
    """Pack a place for a URL."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unpacked(cursor: str) -> bytes:
    """Unpack what came back.

    Raises:
        ValueError: nothing was packed so.
    """
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
