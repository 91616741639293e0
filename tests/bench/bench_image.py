"""How big the product's one image is, and how much of it each role needs; built where no build of this tree is kept.

    python tests/bench/bench_image.py

Files are weighed as they are unpacked, from the layers of the kept image: nothing runs.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE)]

from ratemyunit_ops.outside.podman import Podman, Target  # noqa: E402
from tests.bench.figures import keep, load, say  # noqa: E402
from tests.twin.layers import Layer, layers  # noqa: E402

CACHE = Path.home() / ".cache/rmu/images"
MOST_MB = 1000
BASE, PYTHON, BROWSER, PACKAGES, DRIVER, CODE = "base", "python", "browser", "packages", "driver", "code"
# One image for all: what a role has no use for costs it a pull and room on the disk, and no memory.
NEEDED = {
    "the api, migrations and checks": (BASE, PYTHON, PACKAGES, CODE),
    "the worker": (BASE, PYTHON, PACKAGES, CODE, BROWSER, DRIVER),
}


def part(layer: Layer, lowest: bool, name: str) -> str:
    """Tell which part of the image a file belongs to."""
    if name.startswith("opt/app/"):
        return CODE
    if name.startswith("opt/venv/"):
        return DRIVER if "/playwright/driver/" in name else PACKAGES
    if lowest:
        return BASE
    return BROWSER if "chromium" in layer.made_by else PYTHON


def weighed(image: list[Layer]) -> tuple[Counter[str], Counter[str]]:
    """Weigh an image's parts in bytes: unpacked, and as they move; the driver moves with the packages, in one layer."""
    unpacked: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    for number, layer in enumerate(image):
        parts: Counter[str] = Counter()
        for name, body in layer.files():
            parts[part(layer, number == 0, name)] += len(body)
        unpacked += parts
        moved[PACKAGES if DRIVER in parts else max(parts, key=parts.__getitem__)] += layer.compressed
    return unpacked, moved


def main() -> None:
    """Weigh the image of this tree."""
    before = load()
    builder = Podman(base=None, cache=CACHE, target=lambda: Target("", ""))
    image = builder.build(HERE / "app", on_line=say)
    unpacked, moved = weighed(layers(CACHE, image.digest))
    figures = {
        "target_mb": MOST_MB,
        "whole": {"unpacked_mb": mb(sum(unpacked.values())), "moved_mb": mb(sum(moved.values()))},
        "parts": [{"part": p, "unpacked_mb": mb(unpacked[p]), "moved_mb": mb(moved[p])} for p in unpacked],
        "roles": [{"role": r, "unpacked_mb": mb(sum(unpacked[p] for p in parts))} for r, parts in NEEDED.items()],
        "control": {"what": "the base alone, Debian of mmdebstrap", "unpacked_mb": mb(unpacked[BASE])},
    }
    keep("image", figures, before)


def mb(size: int) -> float:
    """Turn bytes into MB, as registries count them."""
    return round(size / 1e6, 1)


if __name__ == "__main__":
    main()
