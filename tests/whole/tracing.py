"""What a command changes on the disk, one system call at a time, read from a trace of `strace -f -y`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPENS = ("open", "openat", "creat")
BY_FD = ("write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate", "copy_file_range",
         "sendfile")  # fmt: skip
BY_NAME = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir",
           "mkdirat", "rmdir", "truncate")  # fmt: skip
TRACED = ",".join((*OPENS, *BY_FD, *BY_NAME))
STOPS = ",".join({*OPENS, *BY_FD, *BY_NAME, "close"} - {"sendfile", "copy_file_range"})
"""Where a command may stop: these two begin anew for ever once a signal waits; what they copied to is closed next."""

_START = re.compile(r"^(\d+) +(\w+)\((.*)$")
_QUOTED = re.compile(r'(?:(?<![<\w])(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_FD = re.compile(r"(?<![<\w])\d+<([^>]*)>")


@dataclass(frozen=True)
class Call:
    """One call of a traced process: its thread, its name, the paths as it gave them, and the same made absolute."""

    thread: str
    name: str
    given: tuple[str, ...]
    paths: tuple[str, ...]
    writes: bool
    failed: bool = False


@dataclass(frozen=True)
class Point:
    """The nth call of this name in its thread that names this path, as `strace -P PATH -e inject=...:when=N` counts."""

    call: str
    path: str
    nth: int

    def options(self) -> tuple[str, ...]:
        """What makes strace kill there."""
        return "-P", self.path, "-e", f"trace={self.call}", "-e", f"inject={self.call}:signal=KILL:when={self.nth}"

    def __str__(self) -> str:
        return f"{self.call} {self.path} #{self.nth}"


def read(trace: Path, cwd: Path) -> list[Call]:
    """The calls of a trace, in the order in which they began."""
    return list(_calls(trace.read_text(errors="replace"), cwd))


def _calls(text: str, cwd: Path) -> Iterator[Call]:
    for line in text.splitlines():
        if not (found := _START.match(line)) or found[2] not in (*OPENS, *BY_FD, *BY_NAME):
            continue
        thread, name, rest = found.groups()
        failed = " = -1 " in rest
        if name in BY_FD:
            fds = _FD.findall(rest)
            given = tuple(fds[1:2] if name == "copy_file_range" else fds[:1])
            yield Call(thread, name, given, given, writes=True, failed=failed)
            continue
        named = [(folder, os.fsencode(path).decode("unicode_escape")) for folder, path in _QUOTED.findall(rest)]
        paths = tuple(os.path.normpath(Path(folder or cwd) / path) for folder, path in named)
        writes = name not in OPENS or bool(re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", rest))
        folders = tuple(folder for folder, _ in named if folder and f"AT_FDCWD<{folder}>" not in rest)
        yield Call(thread, name, tuple(path for _, path in named) + folders, paths, writes, failed)


def points(calls: list[Call], below: Path) -> list[Point]:
    """Every call that changes, or tries to change, something below a folder."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for call in calls:
        for path in set(call.given):
            seen[call.thread, call.name, path] += 1
        if call.writes and any(is_below(path, below) for path in call.paths):
            key = call.given[0]
            found.append(Point(call.name, key, seen[call.thread, call.name, key]))
    return found


def is_below(path: str, folder: Path) -> bool:
    """Say whether an absolute path lies in a folder."""
    return path.startswith(f"{folder}{os.sep}")


def sampled(every: list[Point], most: int) -> list[Point]:
    """Of a row of calls alike the first, the middle and the last; of what is left an even choice, renames first."""
    rows: dict[tuple[str, str], list[Point]] = {}
    for point in every:
        rows.setdefault((point.call, point.path), []).append(point)
    few = [p for row in rows.values() for p in ({row[0], row[len(row) // 2], row[-1]})]
    few.sort(key=every.index)
    steps = [p for p in few if p.call.startswith("rename")]
    rest = [p for p in few if p not in steps]
    steps = _evenly(steps, most // 2)
    return sorted([*steps, *_evenly(rest, most - len(steps))], key=every.index)


def _evenly(row: list[Point], most: int) -> list[Point]:
    return row if len(row) <= most else [row[(2 * n + 1) * len(row) // (2 * most)] for n in range(most)]


def _is_hidden(path: str, below: Path) -> bool:
    return any(part.startswith(".") for part in Path(path).relative_to(below).parts)


def unsynced(calls: list[Call], below: Path, skip: tuple[str, ...] = ()) -> list[str]:
    """What a power cut could lose: a name given to data that was not synced before, or whose folder was not after.

    Hidden names are on the way; a name is given when something is renamed to a path without a hidden part, or a folder
    is made there.
    """
    dirty: set[str] = set()
    waiting: dict[str, str] = {}
    found = []
    for call in calls:
        if call.failed or not any(is_below(path, below) or path == str(below) for path in call.paths):
            continue
        path = call.paths[0]
        if call.name in ("fsync", "fdatasync"):
            dirty.discard(path)
            waiting.pop(path, None)
        elif call.name in BY_FD or call.name in ("mkdir", "mkdirat") or (call.name in OPENS and call.writes):
            dirty.add(path)
            if call.name.startswith("mkdir") and not _is_hidden(path, below):
                waiting[str(Path(path).parent)] = path
        elif call.name.startswith("rename"):
            target = call.paths[1]
            lost = sorted(p for p in dirty if p == path or is_below(p, Path(path)))
            dirty = {target + p.removeprefix(path) if p in lost else p for p in dirty}
            if not _is_hidden(target, below):
                found += [f"{p} is not synced before it is {target}" for p in lost if not p.endswith(skip)]
                waiting[str(Path(target).parent)] = target
    return found + [f"{folder} is not synced after {target} came there" for folder, target in waiting.items()]
