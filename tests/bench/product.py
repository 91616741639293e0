"""The product image on a bench's own twin: a copy of the app's tree, so that nobody edits it under a running bench."""

from __future__ import annotations

import os
import shutil
from typing import Any

from tests.bench.figures import say
from tests.twin.driver import CHECKOUT, PRODUCT, Stack


def furnish(stack: Stack, count: int, **settings: Any) -> list[str]:
    """Write the settings, build the app once and push it under some versions; return their names."""
    stack.config = stack.settings("rmu.toml", smoke="a", ready_deadline="PT60S", app=PRODUCT, **settings)
    left_out = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
    shutil.copytree(CHECKOUT / "app", stack.where / "app", ignore=left_out)
    environ = {**os.environ, **stack.environ()}  # a build needs what its package index needs
    names = [f"v{n + 1}" for n in range(count)]
    for name in names:
        say(f"pushing {name}")
        stack.rmu("image", "push", name, environ=environ, patience=900)
    return names
