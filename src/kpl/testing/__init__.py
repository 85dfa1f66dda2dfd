"""Checks that any method must pass, also one of your own; no test framework is needed.

>>> import kpl.testing
>>> from kpl.methods import CuPL
>>> len(kpl.testing.check_method(CuPL)) == len(kpl.testing.METHOD_CHECKS)
True
"""

from kpl.testing.methods import METHOD_CHECKS, check_method
from kpl.testing.worlds import Chunked, World, planted, texts_for

__all__ = ["METHOD_CHECKS", "Chunked", "World", "check_method", "planted", "texts_for"]
