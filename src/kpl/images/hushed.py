"""Warnings of the libraries that decode: they tell of damaged metadata, which a run reports itself."""

from __future__ import annotations

import re
import threading
import warnings

_lock = threading.Lock()


def ignore_warnings_of(modules: str) -> None:
    """Ignore the warnings from modules that match a pattern, once for the whole process.

    `warnings.catch_warnings` would keep it to one call, but is not safe among threads.

    Args:
        modules: a regular expression, such as `r"PIL\\."`.
    """
    with _lock:
        if ("ignore", None, Warning, re.compile(modules), 0) not in warnings.filters:
            warnings.filterwarnings("ignore", module=modules)
