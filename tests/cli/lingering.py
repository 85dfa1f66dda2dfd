"""Run commands in turn as the installed script would, or lines of Python, then stay alive: what begins late is seen."""

import json
import os
import sys
import time
from pathlib import Path


def run(words: list[str]) -> int:
    """The exit code of one command."""
    sys.argv = ["kpl", *words]
    try:
        main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


if __name__ == "__main__":
    commands = json.loads(sys.argv[1])
    if commands[0][0] == "-c":
        for _, code in commands:
            exec(code, {})  # noqa: S102 - the test's own lines
        codes = [0] * len(commands)
    else:
        from kpl.cli import main

        codes = [run(words) for words in commands]
    sys.stdout.flush()
    Path(os.environ["KPL_CODES"]).write_text(json.dumps(codes))
    time.sleep(float(os.environ["KPL_LINGER"]))
