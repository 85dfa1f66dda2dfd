"""Behind a proxy: another path, other names, the addresses of others; with the configurations that the docs give."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import cell, parts
from tests.server.test_running import started

from kpl.errors import InputError
from kpl.server import Options
from kpl.server.guard import Guard

DOC = Path(__file__).parents[2] / "docs" / "serve.md"
PAGE = Path(__file__).parents[2] / "src" / "kpl" / "server" / "page"
PROXIES = ("nginx", "caddy")


@pytest.fixture(scope="module")
def rooted(serving: Callable[..., TestClient]) -> TestClient:
    return serving(door={"root": "/kpl"})


@pytest.mark.parametrize("prefix", ["/kpl", ""])
def test_under_a_path_that_the_proxy_hands_on_or_leaves_out(rooted: TestClient, prefix: str) -> None:
    for path in ("/", "/static/app.js", "/health", "/api/packs", "/openapi.json"):
        assert rooted.get(prefix + path).status_code == 200, path
    session = rooted.post(f"{prefix}/api/sessions", json={}).json()["id"]
    said = rooted.post(f"{prefix}/api/sessions/{session}/pictures", files=parts({"a.png": cell(0)})).json()
    assert said["added"] == [0]
    assert rooted.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/kpl"}]


def test_the_page_is_a_folder_and_other_paths_are_none(rooted: TestClient) -> None:
    answer = rooted.get("/kpl", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/kpl/")
    assert answer.headers["x-frame-options"] == "DENY"
    for path in ("/kplx/health", "/kpl/kpl/health", "/KPL/health", "/static", "/api/packs/"):
        assert rooted.get(path, follow_redirects=False).status_code == 404, path


def test_the_token_is_asked_for_under_a_path_too(serving: Callable[..., TestClient]) -> None:
    guarded = serving(token="a-token-of-more-than-16-characters", door={"root": "/kpl"})  # noqa: S106 - of a test
    for prefix in ("", "/kpl"):
        assert [guarded.get(prefix + path).status_code for path in Guard.OPEN] == [200, 200]
        assert guarded.get(f"{prefix}/api/packs").status_code == 401
        assert guarded.get(f"{prefix}/openapi.json").status_code == 401


def test_no_address_on_the_page_begins_at_the_root() -> None:
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""(?:src|href|action)="/|(?:from|import\(?|fetch\(|url\() ?["'`]?/""", text), file.name
        assert not re.search(r"""["'`]/(?:api|static|health|openapi)""", text), file.name


@pytest.mark.parametrize("root", ["kpl", "/", "/kpl/", "//kpl", "/a b", "/api", "/static/x", "/a/../b", "/.a", "/ä"])
def test_a_root_path_that_is_none(root: str) -> None:
    with pytest.raises(InputError, match="cannot be served under"):
        Options(root_path=root)


def test_a_trusted_proxy_that_is_none() -> None:
    with pytest.raises(InputError, match="no address and no network"):
        Options(trusted_proxies=["proxy.example"])
    assert Options(root_path="/lab/kpl", trusted_proxies=["10.0.0.0/8"]).root_path == "/lab/kpl"


def documented(kind: str) -> str:
    """The example that the docs give."""
    fence = {"nginx": "nginx", "caddy": "text"}[kind]
    found = re.search(rf"```{fence}\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found, kind
    return found[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
        return port


@contextmanager
def proxied(kind: str, folder: Path, behind: int) -> Iterator[str]:
    """A real proxy with the documented configuration, but for its own address, TLS and folders."""
    program = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin")
    if program is None:
        reason = f"no {kind}: install it, such as by apt-get install {kind}"
        (pytest.fail if os.environ.get("KPL_REQUIRE_EXTRAS") == "1" and kind == "nginx" else pytest.skip)(reason)
    port, text = free_port(), documented(kind).replace("127.0.0.1:8321", f"127.0.0.1:{behind}")
    file = folder / f"{kind}.conf"
    if kind == "nginx":
        text = re.sub(r" *ssl_[^\n]*\n", "", text).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
        places = "".join(
            f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.name == "posix" and os.getuid() == 0 else ""  # its workers write in the folder
        text = f"{user}daemon off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{text}}}\n"
        command = [program, "-e", "stderr", "-p", str(folder), "-c", str(file)]
    else:
        text = "{\nadmin off\nauto_https off\n}\n" + text.replace("reading-room.example.org {", f"http://:{port} {{")
        command = [program, "run", "--adapter", "caddyfile", "--config", str(file)]
    file.write_text(text, encoding="utf-8")
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(200):
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                yield f"http://127.0.0.1:{port}"
                return
        raise AssertionError((folder / "log").read_text())
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.long
@pytest.mark.parametrize("kind", PROXIES)
def test_behind_a_real_proxy(kind: str, tmp_path: Path) -> None:
    """The page and a session through the documented configuration; a foreign X-Forwarded-For is not believed."""
    name = "reading-room.example.org"
    process, address = started("--host-name", name, "--root-path", "/kpl", "--trusted-proxy", "127.0.0.1")
    try:
        with proxied(kind, tmp_path, urlsplit(address).port or 0) as through:
            own = {"host": name, "origin": f"https://{name}", "sec-fetch-site": "same-origin"}
            with httpx2.Client(base_url=through, headers=own, timeout=60) as client:
                moved = client.get("/kpl", follow_redirects=False)
                assert moved.status_code in (301, 308)
                assert urlsplit(moved.headers["location"]).path == "/kpl/"
                page = client.get("/kpl/")
                assert "Not a medical device" in page.text
                for found in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
                    assert client.get(f"/kpl/{found}").status_code == 200, found
                assert client.get("/kpl/openapi.json").json()["servers"] == [{"url": "/kpl"}]
                session = f"/kpl/api/sessions/{client.post('/kpl/api/sessions', json={}).json()['id']}"
                client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
                files = parts({f"{n}.png": cell(n, side=192) for n in range(4)})
                files.append(("files", ("padding.bin", os.urandom(3 << 20))))  # above what nginx takes by itself
                assert client.post(f"{session}/pictures", files=files).json()["added"] == [0, 1, 2, 3]
                job = client.post(f"{session}/jobs", json={}).json()["id"]
                with client.stream("GET", f"/kpl/api/jobs/{job}/events") as events:
                    assert events.headers["content-type"].startswith("text/event-stream")
                    last = [line for line in events.iter_lines() if line.startswith("data: ")][-1]
                assert '"state": "done"' in last
                foreign = {"origin": "http://evil.example"}
                assert client.post("/kpl/api/sessions", json={}, headers=foreign).status_code == 403
                for number in range(20):  # more than one address may begin: each of these says it is another
                    liar = {"x-forwarded-for": f"198.51.100.{number}"}
                    assert client.post("/kpl/api/sessions", json={}, headers=liar).status_code == 201
                assert client.get(session).status_code == 200
                held = client.get("/kpl/metrics").text
                assert "kpl_sessions 16\n" in held
    finally:
        process.terminate()
        process.communicate(timeout=60)
