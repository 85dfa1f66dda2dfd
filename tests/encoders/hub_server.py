"""A model hub in miniature: the part of the hub's protocol that `huggingface_hub` speaks when it fetches a model.

It answers metadata, redirects from `resolve` to a content address, entity tags, ranges, the refusals of gated, private
and missing repositories, and it can cut a connection, send a file short, or send other bytes than it announced.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN, STRANGER = "hf_good", "hf_not_let_in"
"""A token that may see everything, and one of an account that accepted no terms."""
_LARGE = 100_000  # bytes from which a file is kept apart and redirected to, as the hub does with large files


@dataclass
class Repository:
    """A model as the hub holds it, and what goes wrong with it.

    Attributes:
        files: content by path.
        gated: files only for those who accepted its terms.
        private: not to be seen without the right token.
        cut: number of times that a large file's connection breaks half way.
        short: large files end early, as if that were all of them.
        corrupt: large files have another byte than their hash says.
        pretended: bytes that the listing claims for every file, whatever they have.
    """

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    cut: int = 0
    short: bool = False
    corrupt: bool = False
    pretended: int | None = None
    revision: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + content)
        self.revision = digest.hexdigest()

    def sibling(self, name: str) -> dict[str, object]:
        content = self.files[name]
        size = self.pretended or len(content)
        told: dict[str, object] = {"rfilename": name, "size": size, "blobId": git_hash(content)}
        if len(content) >= _LARGE:
            told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return told


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def read_tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a repository holds them."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Hub:
    """The running hub: its address, what it holds, and each request as (method, path, range)."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def ranges(self) -> list[str]:
        """The ranges that were asked for."""
        return [asked for _, _, asked in self.requests if asked]

    def fetched(self) -> list[str]:
        """Paths that were got, not only asked about, content addresses left out."""
        return [path for method, path, _ in self.requests if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._metadata(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[2], found[3], body=body)
        elif found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(self.hub.repositories[found[1]], found[2], body=body)
        else:
            self._refuse(404, "", "no such page")

    def _metadata(self, hub_id: str, revision: str | None) -> None:
        if (repository := self._visible(hub_id, revision)) is None:
            return
        siblings = [repository.sibling(name) for name in sorted(repository.files)]
        told = {"id": hub_id, "sha": repository.revision, "siblings": siblings}
        told |= {"private": repository.private, "gated": "manual" if repository.gated else False}
        self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _visible(self, hub_id: str, revision: str | None) -> Repository | None:
        repository = self.hub.repositories.get(hub_id)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in (TOKEN, STRANGER):
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif repository is None or (repository.private and token != TOKEN):
            self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif revision not in (None, "main", repository.revision):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repository
        return None

    def _resolve(self, hub_id: str, revision: str, name: str, *, body: bool) -> None:
        if (repository := self._visible(hub_id, revision)) is None:
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repository.gated and token != TOKEN:
            self._refuse(403 if token else 401, "GatedRepo", f"Access to model {hub_id} is restricted")
        elif name not in repository.files:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif len(content := repository.files[name]) >= _LARGE:
            linked = {
                "X-Repo-Commit": repository.revision,
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
                "Location": f"{self.hub.url.replace('127.0.0.1', 'localhost')}/cdn/{hub_id}/{name}",  # another host
            }
            self._send(302, b"", linked)
        else:
            small = {"X-Repo-Commit": repository.revision, "ETag": f'"{git_hash(content)}"'}
            self._send(200, content, small, body=body)

    def _content(self, repository: Repository, name: str, *, body: bool) -> None:
        """A large file behind its content address, whole or from somewhere on, with what goes wrong on the way."""
        content = repository.files[name]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if repository.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if repository.short:
            content = content[: len(content) // 2]
        status, start = 200, 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = content[start:]
        if repository.cut and body:
            repository.cut -= 1
            self._send(status, part, headers, sent=len(part) // 2)
            self.close_connection = True
        else:
            self._send(status, part, headers, body=body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(
        self, status: int, content: bytes, headers: dict[str, str], *, body: bool = True, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(content[:sent])
            self.wfile.flush()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
