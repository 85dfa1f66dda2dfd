"""Libraries with a mind of their own are told to keep still before they load."""

import json
import os
import socket
import subprocess
import sys
import types

import pytest

from kpl import quiet

PROBE = """
import json, os, sys, warnings
{first}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import kpl.encoders, kpl.cli.main
said = [str(w.message) for w in told if type(w.message).__name__ == "TelemetryWarning"]
print(json.dumps([said, {{name: os.environ.get(name) for name in {names!r}}}]))
"""


def probe(first: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    """What a fresh interpreter warned of, and the environment it has then."""
    plain = {name: value for name, value in os.environ.items() if name not in quiet.SILENCED}
    code = PROBE.format(first=first, names=list(quiet.SILENCED))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain | environment
    )
    said, set_to = json.loads(done.stdout)
    return said, set_to


def test_whoever_loads_kpl_has_telemetry_off_whatever_was_set():
    assert probe("") == ([], quiet.SILENCED)
    assert probe("", ORT_DISABLE_TELEMETRY="0", HF_HUB_DISABLE_TELEMETRY="0") == ([], quiet.SILENCED)


def test_a_program_that_loaded_onnxruntime_before_is_told_once_in_one_line():
    loaded = "import types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime')"
    (said,), _ = probe(loaded)
    assert "onnxruntime was imported before kpl" in said
    assert "\n" not in said
    assert probe(loaded, ORT_DISABLE_TELEMETRY="1")[0] == []


def test_a_hub_library_that_has_read_its_environment_already_is_told_too(monkeypatch):
    constants = types.ModuleType("huggingface_hub.constants")
    constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_UPDATE_CHECK = False
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    quiet.silence()
    assert constants.HF_HUB_DISABLE_TELEMETRY
    assert constants.HF_HUB_DISABLE_UPDATE_CHECK


@pytest.mark.parametrize("chosen", [False, True])
def test_the_list_of_fonts_lies_in_kpls_folder_and_the_users_own_choice_stands(tmp_path, chosen):
    code = "import os; from kpl.quiet import drawing_at_home; drawing_at_home(); print(os.environ.get('MPLCONFIGDIR'))"
    own = {"MPLCONFIGDIR": str(tmp_path / "own")} if chosen else {}
    plain = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    places = {"HOME": str(tmp_path / "home"), "KPL_HOME": str(tmp_path / "kpl")}
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain | places | own
    )
    assert done.stdout.strip() == str(own.get("MPLCONFIGDIR"))
    assert list((tmp_path / "home").iterdir()) == []
    assert (tmp_path / "kpl" / "matplotlib").exists() is not chosen


def test_native_code_has_no_network_either_once_it_is_left():
    """Not even the loopback; where the system does not allow it, that is said."""
    code = """
from kpl.quiet import leave_network
left = leave_network()
import ctypes, socket, struct
target = struct.pack("=HH4s8x", socket.AF_INET, socket.htons({port}), socket.inet_aton("127.0.0.1"))
library = ctypes.CDLL(None)
print(left, library.connect(library.socket(socket.AF_INET, socket.SOCK_STREAM, 0), target, len(target)))
"""
    if sys.platform != "linux":
        assert quiet.leave_network() is False
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = code.format(port=listening.getsockname()[1])
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["True", "-1"], ["False", "0"])


def test_openvino_loads_without_what_reports_it(tmp_path):
    (tmp_path / "openvino_telemetry.py").write_text("")
    (tmp_path / "openvino.py").write_text(
        "try:\n    import openvino_telemetry\n    reported = True\nexcept ImportError:\n    reported = False\n"
    )
    code = (
        "from kpl.quiet import unreported_openvino as u; print(u().reported, u().reported); import openvino_telemetry"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]
