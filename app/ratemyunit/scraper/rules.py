"""How one catalogue is read: which parts of a page are its units, and which links are its pages.

An admin writes these, so each is checked before it is kept (`check`), and patterns run on RE2 alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ratemyunit.scraper import patterns

LONGEST_RULE = 300


@dataclass(frozen=True)
class Rules:
    """For HTML `units`, `code`, `title`, `description` and `next` are CSS selectors, `SELECTOR@ATTRIBUTE` for an
    attribute; for JSON they are names joined by dots. Empty ones mean the adapter's own.

    `script` names the `<script>` of a page that holds its JSON. `follow` is a pattern: links that match it are pages of
    this catalogue, read as `follow_kind`. `code_pattern` takes the code out of a longer text: its first group, or all.
    """

    units: str = ""
    code: str = ""
    title: str = ""
    description: str = ""
    next: str = ""
    script: str = ""
    follow: str = ""
    follow_kind: str = "html"
    code_pattern: str = ""

    def check(self) -> None:
        """Refuse rules that cannot be used.

        Raises:
            ValueError: one is too long, or a pattern is none that RE2 takes.
        """
        for name, value in asdict(self).items():
            if len(value) > LONGEST_RULE or not value.isprintable():
                raise ValueError(f"{name} is longer than {LONGEST_RULE} characters or cannot be printed")
        for pattern in (self.follow, self.code_pattern):
            patterns.compiled(pattern)

    def __post_init__(self) -> None:
        if not all(isinstance(value, str) for value in asdict(self).values()):
            raise ValueError("every rule is a text")


def read(stored: Mapping[str, object]) -> Rules:
    """Read rules as they are kept; a newer release may have written more than this one knows."""
    known = {field.name for field in fields(Rules)}
    return Rules(**{name: str(value) for name, value in stored.items() if name in known})
