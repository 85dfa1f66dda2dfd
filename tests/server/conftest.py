from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from kpl.server.app import create_app
from kpl.server.clients import Places
from kpl.server.limits import Limits
from kpl.server.refusals import Busy
from kpl.server.service import Service
from rendered import cell_of_class, draw_cell

CLASSES = ("neutrophil", "normal_red_cell", "lymphocyte")
HERE = "http://127.0.0.1"


def cell(number: int, kind: str = "PNG", side: int = 96) -> bytes:
    """One drawn cell as a file."""
    rng = np.random.default_rng(number)
    picture = draw_cell(cell_of_class(CLASSES[number % len(CLASSES)], rng), rng)
    buffer = io.BytesIO()
    Image.fromarray(picture).resize((side, side)).save(buffer, kind)
    return buffer.getvalue()


def parts(files: dict[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (name, data)) for name, data in files.items()]


@pytest.fixture(scope="session")
def cells() -> dict[str, bytes]:
    return {f"cell-{number}.png": cell(number) for number in range(12)}


@pytest.fixture(scope="session")
def serving() -> Iterator[Callable[..., TestClient]]:
    """Start services inside this process; they are closed at the end."""
    opened: list[TestClient] = []

    def start(
        *,
        token: str | None = None,
        models: Any = (),
        results: Any = None,
        runs: Any = (),
        brought: Any = None,
        door: Any = None,
        **limits: Any,
    ) -> TestClient:
        service = Service(Limits(**{"workers": 1, **limits}), models, results, runs, brought)
        client = TestClient(
            create_app(service, token=token, **door or {}), base_url=HERE, raise_server_exceptions=False
        )
        client.__enter__()
        opened.append(client)
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def client(serving: Callable[..., TestClient]) -> TestClient:
    """A service with the usual limits."""
    return serving()


@pytest.fixture
def session(client: TestClient) -> Iterator[str]:
    """The address of a fresh session."""
    made = client.post("/api/sessions", json={})
    assert made.status_code == 201
    address = f"/api/sessions/{made.json()['id']}"
    yield address
    client.delete(address)


@contextmanager
def all_places(places: Places) -> Iterator[None]:
    """Hold all that others could: each place by another client."""
    with ExitStack() as held:
        with suppress(Busy):
            for number in range(1000):
                held.enter_context(places.hold(f"other {number}"))
        yield


def finish(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job."""
    for _ in range(600):
        now: dict[str, Any] = client.get(f"/api/jobs/{job['id']}").json()
        if now["state"] not in ("queued", "running"):
            return now
        time.sleep(0.05)
    raise AssertionError("the job does not end")


@pytest.fixture(scope="session")
def classified(client: TestClient, cells: dict[str, bytes]) -> str:
    """The address of a session whose pictures are classified; tests leave its settings as they found them."""
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    assert client.put(f"{address}/knowledge", json={"pack": "blood-cells"}).status_code == 200
    assert client.post(f"{address}/pictures", files=parts(cells)).status_code == 200
    assert finish(client, client.post(f"{address}/jobs", json={}).json())["state"] == "done"
    return address
