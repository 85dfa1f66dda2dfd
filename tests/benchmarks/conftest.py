"""The benchmarks are no package: their folder is put on the path for these tests."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"

if not FOLDER.is_dir():
    pytest.skip("the benchmarks are not beside this checkout", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
