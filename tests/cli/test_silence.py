"""Nothing leaves the machine: every command, the library and the server, watched where nothing can pass unseen.

`KPL_WATCH=whole` gives each command a process of its own and keeps each alive for 30 seconds after its work; otherwise
a few processes run the commands in turn and stay for 12: what has been seen to begin late began within ten.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from PIL import Image

from kpl.cli.main import app
from kpl.runs import fit

from .test_commands import walk

COMMANDS = [" ".join(path) for path, _ in walk(typer.main.get_command(app))]
WHOLE = os.environ.get("KPL_WATCH") == "whole"
HANDS = 3
"""Processes that share the commands in the short watch."""

LINES = {
    "classify": "scans -k small.json --explain -o classified",
    "report": "reported --labels labels.csv --pictures scans --maps 1",
    "plan": "scans --json planned.json",
    "explain": "run neutrophil/cell-0.png --map where.png --picture scans/neutrophil/cell-0.png",
    "embed": "scans -o embedded",
    "fit": "features -k small.json -o fitted.kpl",
    "update": "cells.kpl more --out newer.kpl",
    "evaluate": "run --labels labels.csv --figure scores.svg --json scores.json",
    "calibrate": "run --labels labels.csv -o calibration.json",
    "queue": "run --n 3 --out to-read.csv",
    "correct": "corrected neutrophil/cell-0.png platelet --by A",
    "learn": "read --out learnt",
    "compare": "run read --json compared.json",
    "audit": "run --table cohort.csv --json audited.json",
    "search": "features 'a tiny purple body'",
    "export": "run --to folders --pictures scans --out sorted",
    "demo": "-o demo",
    "serve": "--port 8321 --model cells.kpl --results results",
    "knowledge new": "birds.yaml --classes 'crow, owl' --modality photograph",
    "knowledge write": "begun.yaml --llm http://127.0.0.1:PORT_OF_LLM/v1 --model tiny --per-class 5",
    "knowledge schema": "--out schema.json",
    "knowledge packs": "",
    "knowledge show": "small.json --features features --figure classes.svg",
    "knowledge lint": "small.json --encoder mini",
    "knowledge rules": "",
    "knowledge review": "small.yaml",
    "knowledge diff": "small.json small.yaml",
    "knowledge merge": "small.json begun.yaml -o merged.json",
    "knowledge import": "sentences.json --as imported --tidy --modality 'blood smear'",
    "encoders list": "",
    "encoders show": "mini",
    "encoders pull": "hf:lab/small-cells",
    "encoders bundle": "mini -o mini.kplenc",
    "encoders export": "mini -o exported",
    "encoders check": "mini",
    "encoders advise": "scans -k small.json",
    "methods list": "",
    "methods show": "kpl",
}
EXIT_CODES = {
    "knowledge diff": 1,  # they differ
    "knowledge lint": 1,  # it found something
    "encoders export": 1,  # `mini` is exported already
}

FROM_PYTHON = [
    ["-c", "import kpl; [getattr(kpl, name) for name in kpl.__all__]"],
    ["-c", "import kpl; kpl.fit('scans', knowledge='small.json', out='python.kpl')"],
    ["-c", "import kpl; kpl.classify('scans', knowledge='small.json', out='python'); kpl.write_report('python')"],
]
LOOKS_UP = "import ctypes as c; c.CDLL(None).getaddrinfo(b'late.example', b'443', None, c.byref(c.c_void_p()))"
SPEAKS = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('198.51.100.9', 4000))"


def namespace() -> list[str]:
    """How to enter a network namespace of one's own here; empty where the system forbids it."""
    for words in (["unshare", "--net", "--mount"], ["unshare", "--map-root-user", "--net", "--mount"]):
        probe = "ip link set lo up && mount --bind /etc/hosts /etc/hosts"
        if shutil.which("unshare") and shutil.which("ip") and shutil.which("mount"):
            done = subprocess.run([*words, "sh", "-c", probe], capture_output=True, check=False)
            if done.returncode == 0:
                return words
    return []


pytestmark = pytest.mark.strace


@pytest.fixture(autouse=True, scope="module")
def in_a_namespace() -> None:
    if not namespace():
        required = os.environ.get("KPL_REQUIRE_EXTRAS") == "1"
        (pytest.fail if required else pytest.skip)("no network namespace: needs Linux, unshare, ip, and root")


def observe(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Run a plan in a namespace; what was seen, with the folder that stands for the user's home."""
    (folder / "user").mkdir()
    (folder / "tmp").mkdir()
    (folder / "plan.json").write_text(json.dumps({"work": str(folder / "work"), **plan}))
    kept = ("PATH", "LANG", "VIRTUAL_ENV")  # not coverage's: its files would be seen as the command's own
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    env |= {"HOME": str(folder / "user"), "XDG_CACHE_HOME": str(folder / "user" / "cache")}
    env |= {"KPL_HOME": str(folder / "kpl"), "HF_HOME": str(folder / "hub"), "TMPDIR": str(folder / "tmp")}
    watched = [sys.executable, str(Path(__file__).with_name("watched.py")), str(folder / "plan.json")]
    done = subprocess.run([*namespace(), *watched], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {"folder": folder, **json.loads((folder / "seen.json").read_text())}


def command(name: str) -> list[str]:
    return [*name.split(), *shlex.split(LINES[name])]


@pytest.fixture(scope="module")
def watched(cells: Path, features: Path, finished: Path, knowledge: Path, tmp_path_factory) -> dict[str, Any]:
    """Everything that KPL offers, each with what it needs, in one namespace."""
    folder = tmp_path_factory.mktemp("watched")
    work = folder / "work"
    work.mkdir()
    for source, name in (
        (cells, "scans"),
        (features, "features"),
        (finished, "run"),
        (finished, "reported"),
        (finished, "corrected"),
        (finished, "read"),
    ):
        shutil.copytree(source, work / name)
    for number, name in enumerate(("Parasitized", "Uninfected")):
        (work / "DATA/cell_images" / name).mkdir(parents=True)
        for source in sorted(cells.rglob("*.png"))[number::2]:
            shutil.copy(source, work / "DATA/cell_images" / name)
    (work / "read" / "corrections.jsonl").write_text(
        '{"image": "platelet/cell-2.png", "label": "platelet", "by": "A"}\n'
    )
    (work / "more").mkdir()
    for number, source in enumerate(cells.rglob("*.png")):
        Image.open(source).rotate(90).save(work / "more" / f"{number}.png")
    shutil.copy(knowledge, work / "small.json")
    described = "".join(f"\n  - {{key: {key}, descriptions: [{key} in front of a plain ground]}}" for key in "ab")
    for name in ("small.yaml", "begun.yaml"):
        head = "kpl_knowledge: 1\ntask: {name: small, modality: blood smear}\nclasses:"
        (work / name).write_text(f"{head}{described}\n")
    (work / "sentences.json").write_text(json.dumps({"one": ["a round rim"], "two": ["a dark middle"]}))
    ids = [path.relative_to(cells).as_posix() for path in sorted(cells.rglob("*.png"))]
    (work / "labels.csv").write_text("image,label\n" + "".join(f"{i},{i.partition('/')[0]}\n" for i in ids))
    (work / "cohort.csv").write_text("image,site\n" + "".join(f"{i},{'AB'[n % 2]}\n" for n, i in enumerate(ids)))
    fit(features, knowledge=knowledge, out=work / "cells.kpl")
    many = [command(name) for name in COMMANDS if name not in ("serve", "knowledge review")]
    groups = [many[hand::HANDS] for hand in range(HANDS)] + [FROM_PYTHON]
    if WHOLE:
        groups = [[one] for one in many + FROM_PYTHON]
    pictures = [str(path) for path in sorted((work / "scans").rglob("*.png"))]
    plan = {"groups": [*groups, [command("knowledge review")]], "server": command("serve"), "pictures": pictures}
    return observe(folder, {**plan, "linger": 30 if WHOLE else 12})


def test_every_command_is_watched():
    assert sorted(LINES) == sorted(COMMANDS), "a new command: say in LINES how it is called"


def test_the_watch_sees_what_native_code_asks(tmp_path):
    (tmp_path / "work").mkdir()
    seen = observe(tmp_path, {"groups": [[["-c", LOOKS_UP]], [["-c", SPEAKS]]], "linger": 0})
    assert {"look-up of late.example", "datagram -> 198.51.100.9:4000"} <= set(seen["seen"])


def test_each_did_its_work(watched):
    wrong = []
    for group in watched["outcomes"]:
        assert len(group["codes"]) == len(group["commands"]), group["told"]
        for words, code in zip(group["commands"], group["codes"], strict=True):
            name = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), "")
            if code != EXIT_CODES.get(name, 0):
                wrong.append((words, code, group["told"]))
    assert wrong == []


def test_nothing_is_asked_of_the_network_but_what_was_named(watched):
    ports = watched["ports"]
    named = {f"connection -> 127.0.0.1:{port}" for port in ports.values()}
    assert set(watched["seen"]) - named == set()
    assert named <= set(watched["seen"]), "the watch saw what was named"


def test_the_users_folders_stay_empty(watched):
    assert sorted(path.name for path in (watched["folder"] / "user").rglob("*")) == []


def calls(trace: str) -> list[tuple[str, str]]:
    """Each call that went well as (name, all of its text); one that was interrupted by another thread made whole."""
    begun: dict[str, str] = {}
    found = []
    for line in trace.splitlines():
        pid, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            rest = begun.pop(pid, "") + resumed[1]
        if (match := re.match(r"(\w+)\(", rest)) and not re.search(r"= -1 \w+", rest):
            found.append((match[1], rest))
    return found


def test_no_file_is_written_elsewhere(watched):
    """Output, KPL_HOME, the temporary folder and, for what was pulled, the hub's own cache."""
    folder = watched["folder"]
    # the two last are the wrapper's own
    own = (f"{folder / name}" for name in ("work", "kpl", "tmp", "hub", "group-", "server."))
    allowed = (*own, "/dev/", "/proc/")
    elsewhere = set()
    for group in watched["outcomes"]:
        for name, text in calls(group["trace"]):
            if name in ("openat", "open", "creat"):
                written = name == "creat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT", text)
                targets = re.findall(r"= \d+<(.*)>$", text) if written else []
            elif re.match(r"mkdir|rename|link|symlink", name):
                targets = [str(folder / "work" / path) for path in re.findall(r'"((?:[^"\\]|\\.)*)"', text)[-1:]]
            else:
                continue
            elsewhere |= {path for path in targets if not path.startswith(allowed) and "__pycache__" not in path}
    assert elsewhere == set()


def test_no_process_is_started_but_what_is_needed(watched):
    """Git for the name of who reviews; the list of fonts for figures in a program that may draw others."""
    needed = {"git": "review", "fc-list": "-c"}
    for group in watched["outcomes"]:
        programs = [re.match(r'execve\("([^"]*)"', text) for name, text in calls(group["trace"]) if name == "execve"]
        started = {Path(found[1]).name for found in programs[1:] if found}
        words = {word for command in group["commands"] for word in command}
        assert {name for name in started if needed.get(name) not in words} <= {Path(sys.executable).name}


def test_the_calls_themselves_reach_nobody_else(watched):
    """What the wire cannot show: an address that was tried and never reached."""
    named = {("127.0.0.1", str(port)) for port in watched["ports"].values()} | {("127.0.0.1", "0")}
    others = set()
    for group in watched["outcomes"]:
        for line in group["trace"].splitlines():
            if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line):
                target = re.search(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]*)"', line)
                if target and (target[2], target[1]) not in named:
                    others.add(line.partition(" ")[2])
    assert others == set()
