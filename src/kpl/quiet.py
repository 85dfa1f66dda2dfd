"""Libraries that would send something out, or write outside KPL's folders, are told not to before they load."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from kpl.home import home

SILENCED: Final = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # transformers would ask the hub for other weights in the background
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
}
"""What the environment says to onnxruntime, huggingface_hub, transformers and Ray from `import kpl` on."""

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # flags of Linux's unshare


class TelemetryWarning(UserWarning):
    """A library loaded before KPL has already begun what KPL would have forbidden it."""


def silence() -> None:
    """Forbid telemetry and update checks to every library that KPL may load; `import kpl` calls it once.

    Warns:
        TelemetryWarning: onnxruntime was loaded earlier with its telemetry on, and cannot be told any more.
    """
    late = "onnxruntime" in sys.modules and os.environ.get("ORT_DISABLE_TELEMETRY", "") in ("", "0")
    os.environ.update(SILENCED)
    if hub := sys.modules.get("huggingface_hub.constants"):  # it reads its environment when it loads
        vars(hub).update(HF_HUB_DISABLE_TELEMETRY=True, HF_HUB_DISABLE_UPDATE_CHECK=True)
    if late:
        warnings.warn(
            "onnxruntime was imported before kpl, with its telemetry on: it keeps a device id in the user's cache "
            "folder and may contact its maker. Import kpl first, or set ORT_DISABLE_TELEMETRY=1 before the program "
            "starts",
            TelemetryWarning,
            stacklevel=3,
        )


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


def drawing_at_home() -> None:
    """Load matplotlib with its list of fonts in KPL's own folder, unless the program or the user has chosen one."""
    if "matplotlib" not in sys.modules and "MPLCONFIGDIR" not in os.environ:
        fonts = "bundled" if "MPL_IGNORE_SYSTEM_FONTS" in os.environ else "system"
        with _environment(
            "MPLCONFIGDIR", str(home() / "matplotlib" / fonts)
        ):  # the user's own code keeps the user's own
            import matplotlib.font_manager  # noqa: F401 - it asks for its folders as it loads


def unreported_openvino() -> ModuleType:
    """Load OpenVINO without its second package, which reports every import to its maker and numbers the user.

    Raises:
        ImportError: it is not installed.
    """
    if "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # how Python says that there is none
        try:
            return import_module("openvino")
        finally:
            del sys.modules["openvino_telemetry"]
    return import_module("openvino")


def leave_network() -> bool:
    """Put this process, which must have one thread, where there is no network at all; say whether the system let it.

    A process may do so on Linux: root at once, others in a namespace of their own where that is allowed.
    """
    if sys.platform != "linux":
        return False
    try:
        unshare = ctypes.CDLL(None).unshare
    except (OSError, AttributeError):
        return False
    user, group = os.getuid(), os.getgid()
    if unshare(_NEW_NETWORK) == 0:
        return True
    if unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    with suppress(OSError):  # under its own name; without it files are still its own
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")
    return True
