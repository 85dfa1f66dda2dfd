"""The review screen in a real terminal."""

from __future__ import annotations

import os
import select
import sys
import time

import pytest
from tests.cli.conftest import answer_to_ctrl_c, script
from tests.knowledge.test_reviewing import YAML

from kpl.knowledge import load_knowledge

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


class Terminal:
    """A command in a pseudo-terminal: wait for what it shows, press keys."""

    def __init__(self, *arguments):
        import pty

        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            answer_to_ctrl_c()
            command = [*script(), *map(str, arguments)]
            os.execve(command[0], command, {**os.environ, "COLUMNS": "100", "TERM": "xterm"})  # noqa: S606
        self.shown = ""

    def wait_for(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} never came: {self.shown!r}"
            self._read(0.2)
        self.shown = self.shown.partition(text)[2]

    def press(self, keys):
        time.sleep(1)  # between what is shown and the listening for a key lies the change of the terminal's mode
        os.write(self.screen, keys.encode())

    def leave(self):
        while self._read(60):
            pass
        os.close(self.screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, seconds):
        if not select.select([self.screen], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.screen, 4096)
        except OSError:
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


@pytest.mark.long
def test_one_keypress_each_with_undo_edit_and_quit(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(YAML.replace("  - key: box", "    absent: [no outline, a thick rim, a bent face]\n  - key: box"))
    terminal = Terminal("knowledge", "review", path, "--reviewer", "Dr. A")
    terminal.wait_for("[1 of 4]")
    terminal.wait_for("when it is absent: no outline")
    terminal.press("r")
    terminal.wait_for("[2 of 4]")
    terminal.press("u")
    terminal.wait_for("[1 of 4]")
    terminal.press("a")
    terminal.wait_for("[2 of 4]")
    terminal.wait_for("q quit")
    assert load_knowledge(path).classes[0].descriptions[0].provenance.reviewed_by == "Dr. A"
    terminal.press("\r")  # signs nothing
    terminal.wait_for("a accept")
    terminal.press("e")
    terminal.wait_for("new text")
    terminal.press("\x03")
    terminal.wait_for("as it was")
    terminal.wait_for("[2 of 4]")
    terminal.press("e")
    terminal.wait_for("new text")
    terminal.press("\x15a very thin rim\n")  # Ctrl-U empties the line, which holds the old text
    terminal.wait_for("[3 of 4]")
    terminal.press("x")
    terminal.wait_for("a accept")
    terminal.press("q")
    assert terminal.leave() == 0
    assert "1 accepted, 1 edited, 0 rejected, 2 left" in " ".join(terminal.shown.split())
    base = load_knowledge(path)
    assert base.classes[0].descriptions[1].text == "a very thin rim"
    assert len(base.classes[0].rejected) == 1  # the wording that was replaced


def test_without_a_terminal_or_with_nothing_left(tmp_path, kpl):
    path = tmp_path / "my.yaml"
    path.write_text(YAML)
    assert "needs a terminal" in kpl("knowledge", "review", path).error
    path.write_text(YAML.replace("{author: me}", "{author: me, reviewed_by: her}"))
    path.write_text(path.read_text() + "    absent: [no corners, no sides]\n")
    told = kpl("knowledge", "review", path, "--reviewer", "x").plain
    assert "0 left" in told
    assert "not shown: 2 absent sentences" in told
