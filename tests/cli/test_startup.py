"""What a command does not need it does not load: a newcomer waits for imports more than for anything else.

No test measures time; `benchmarks/startup.py` does.
"""

import json
import os
import subprocess
import sys

import pytest

NEVER = ("fastapi", "httpx2", "huggingface_hub", "kpl.server", "matplotlib", "scipy", "sklearn", "torch", "uvicorn")
OTHERS = (
    "kpl.authoring", "kpl.encoders.checking", "kpl.encoders.hub", "kpl.encoders.openclip", "kpl.encoders.pulling",
    "kpl.encoders.torch_runtime", "kpl.encoders.transformers", "kpl.knowledge.lint.clinical",
    "kpl.knowledge.lint.linting", "kpl.knowledge.lint.sentences", "kpl.report.similarity", "PIL.PdfImagePlugin",
    "PIL.TiffImagePlugin",
)  # fmt: skip
"""What other commands are for, and other kinds of pictures."""
PROBE = """
import json, sys
from kpl.cli import main
sys.argv = json.loads(sys.argv[1])
try:
    main()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], (*NEVER, "PIL", "kpl.report", "kpl.runs", "onnxruntime", "tokenizers")),
        (["classify", "one.png", "-k", "blood-cells", "-o", "run"], (*NEVER, *OTHERS)),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(tmp_path, cell, words, unneeded):
    cell.save(tmp_path / "one.png")
    probe = [sys.executable, "-c", PROBE, json.dumps(["kpl", *words])]
    # coverage would load more
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(probe, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in unneeded if name in loaded] == []
