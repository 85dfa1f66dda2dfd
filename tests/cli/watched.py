"""Processes in a network namespace of their own, and all that they ask of the network.

Every address leads back to this namespace, so nothing can leave it unseen: a name server answers each name with an
address of nobody, and each first packet to anywhere is read from the loopback. Where strace exists, the calls of every
process are kept too. Run by `unshare --net --mount`; prints what was seen as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

NOBODY = "203.0.113.7"
"""An address that is reserved for documentation: what every name leads to here."""
CALLS = "network,execve,openat,?open,?creat,mkdirat,?mkdir,?rename,renameat2,?renameat,?link,linkat,?symlink,symlinkat"


def close_off(work: Path) -> None:
    """Bring the loopback up, lead every address to it, and name no other name server than the one here."""
    for words in ("link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"):
        subprocess.run(["ip", *words.split()], check=not words.startswith("-6"), capture_output=True)
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n")):
        if (path := Path("/etc", name)).exists():
            (work / name).write_text(text)
            subprocess.run(["mount", "--bind", work / name, path.resolve()], check=True)


def asked(query: bytes) -> str:
    """The name in a question to a name server."""
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode(errors="replace"))
        place += 1 + query[place]
    return ".".join(labels)


class Watch:
    """The first packet of each conversation, and each datagram: `what -> address:port`."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.names.bind(("127.0.0.1", 53))
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # type: ignore[attr-defined]
        self.wire.bind(("lo", 0))
        for work in (self._answer, self._read):
            threading.Thread(target=work, daemon=True).start()

    def _answer(self) -> None:
        while True:
            query, sender = self.names.recvfrom(4096)
            self.seen.add(f"look-up of {asked(query)}")
            question = query[12 : query.index(b"\0", 12) + 5]
            wanted = question[-4:-2] == b"\0\x01"
            body = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(NOBODY) if wanted else b""
            self.names.sendto(query[:2] + b"\x81\x80\0\x01\0" + bytes([wanted]) + b"\0\0\0\0" + question + body, sender)

    def _read(self) -> None:
        while True:
            packet = self.wire.recv(256)
            if packet[0] >> 4 == 4:
                kind, target = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20])
                rest = packet[4 * (packet[0] & 15) :]
            else:
                kind, target, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
            if kind not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
                continue
            source, port = struct.unpack_from("!HH", rest)
            if kind == socket.IPPROTO_UDP and source != 53:
                self.seen.add(f"datagram -> {target}:{port}")
            if kind == socket.IPPROTO_TCP and rest[13] & 0x12 == 2:  # SYN without ACK
                self.seen.add(f"connection -> {target}:{port}")


class Group:
    """One process, with the commands that it runs in turn."""

    def __init__(self, name: str, commands: list[list[str]], work: Path, *, trace: bool, linger: float) -> None:
        self.name, self.commands = name, commands
        self.codes, self.trace, self.told = (work.parent / f"{name}.{end}" for end in ("codes", "trace", "told"))
        tracer = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(self.trace)]
        env = os.environ | {"KPL_CODES": str(self.codes), "KPL_LINGER": str(linger)}
        terminal, inner = pty.openpty() if "review" in commands[0] else (-1, subprocess.DEVNULL)
        words = [sys.executable, str(Path(__file__).with_name("lingering.py")), json.dumps(commands)]
        with self.told.open("wb") as told:
            self.process = subprocess.Popen(
                [*(tracer if trace else []), *words],
                cwd=work, env=env, stdin=inner, stdout=inner if terminal >= 0 else told, stderr=told,
            )  # fmt: skip
        if terminal >= 0:
            threading.Thread(target=self._quit, args=(terminal,), daemon=True).start()

    def _quit(self, terminal: int) -> None:
        """Read the screen and press q until the command ends."""
        with contextlib.suppress(OSError):
            shown = b""
            while True:
                shown += os.read(terminal, 4096)
                if b"quit" in shown:
                    time.sleep(1)
                    os.write(terminal, b"q")
                    shown = b""

    def outcome(self) -> dict[str, object]:
        """What it left, once it has ended."""
        self.process.wait(timeout=600)
        codes = json.loads(self.codes.read_text()) if self.codes.exists() else []
        return {
            "commands": self.commands,
            "codes": codes,
            "told": self.told.read_text(errors="replace"),
            "trace": self.trace.read_text(errors="replace") if self.trace.exists() else "",
        }


def use_server(port: int, pictures: list[Path]) -> None:
    """One picture at once, and a whole run in a session, as the page does it."""
    import httpx2

    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
        for _ in range(600):
            with contextlib.suppress(httpx2.TransportError):
                client.get("/health")
                break
            time.sleep(0.2)
        files = [("files", (path.name, path.read_bytes())) for path in pictures]
        client.post("/classify", files=files[:1]).raise_for_status()
        session = f"/api/sessions/{client.post('/api/sessions', json={}).raise_for_status().json()['id']}"
        client.post(f"{session}/pictures", files=files).raise_for_status()
        client.put(f"{session}/knowledge", json={"pack": "blood-cells"}).raise_for_status()
        job = client.post(f"{session}/jobs", json={}).raise_for_status().json()
        while job["state"] in ("queued", "running"):
            time.sleep(0.2)
            job = client.get(f"/api/jobs/{job['id']}").raise_for_status().json()
        if job["state"] != "done":
            raise RuntimeError(job)


@contextlib.contextmanager
def named_servers() -> Iterator[dict[str, int]]:
    """The hub and the language model that commands name, each on its port."""
    from tests.authoring.chat_server import phrases, serving
    from tests.encoders.hub_server import Repository, read_tree, running_hub

    from kpl.encoders import parse_spec

    with running_hub() as hub, serving(phrases) as model:
        hub.repositories["lab/small-cells"] = Repository(read_tree(Path(parse_spec("mini").folder or "")))
        os.environ["HF_ENDPOINT"] = hub.url
        yield {"hub": int(hub.url.rpartition(":")[2]), "llm": int(model.url.rpartition(":")[2].removesuffix("/v1"))}


def main(plan: dict) -> dict[str, object]:
    """Run the plan's groups side by side, and the server if it has one."""
    work = Path(plan["work"])
    close_off(work.parent)
    with named_servers() as ports:
        ports["serve"] = 8321
        watch = Watch()
        options = {"trace": bool(shutil.which("strace")), "linger": plan["linger"]}
        filled = json.loads(json.dumps(plan["groups"]).replace("PORT_OF_LLM", str(ports["llm"])))
        groups = [Group(f"group-{n}", commands, work, **options) for n, commands in enumerate(filled)]
        if server := plan.get("server"):
            group = Group("server", [server], work, **options | {"linger": 0})
            use_server(ports["serve"], [Path(path) for path in plan["pictures"]])
            time.sleep(plan["linger"])
            stop(group.process.pid)
            groups.append(group)
        outcomes = [group.outcome() for group in groups]
        time.sleep(0.5)  # what was just sent is read
    return {"outcomes": outcomes, "seen": sorted(watch.seen), "ports": ports}


def stop(pid: int) -> None:
    """Ctrl-C for the server, which is a child of its tracer if there is one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    traced = "strace" in Path(f"/proc/{pid}/comm").read_text()
    os.kill(int(children[0]) if traced else pid, signal.SIGINT)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place.parent / "seen.json").write_text(json.dumps(main(json.loads(place.read_text()))))
