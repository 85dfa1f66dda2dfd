"""The service against its own OpenAPI document: whatever is sent, it never fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import cell, parts
from tests.server.test_running import started

EXAMPLES = os.environ.get("KPL_EXAMPLES", "10")
"""Requests for each route and way of making them; `make fuzz` sends 100."""


def test_the_document_states_every_route(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["info"]["title"] == "KPL"
    assert "Not a medical device" in document["info"]["description"]
    assert {
        "/classify",
        "/health",
        "/metrics",
        "/api/encoders",
        "/api/packs",
        "/api/models",
        "/api/sessions",
        "/api/sessions/{session_id}/pictures",
        "/api/sessions/{session_id}/jobs",
        "/api/jobs/{job_id}/events",
    } <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert {"503", "413", "404"} <= set(operation["responses"])


@pytest.mark.browser
@pytest.mark.parametrize("known", [False, True])
def test_nothing_that_the_document_allows_or_forbids_makes_it_fail(tmp_path: Path, *, known: bool) -> None:
    program = shutil.which("schemathesis", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])))
    if program is None:
        reason = "no schemathesis: pip install --group browser"
        (pytest.fail if os.environ.get("KPL_REQUIRE_EXTRAS") == "1" else pytest.skip)(reason)
    process, address = started("--verbose")
    command = [program, "run", f"{address}openapi.json", "--checks", "not_a_server_error", "--mode", "all"]
    command += ["--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing,stateful", "--seed", "1"]
    command += ["--request-timeout", "30", "--suppress-health-check", "all", "--no-color"]
    try:
        if known:
            command += ["--exclude-method", "DELETE"]
            (tmp_path / "schemathesis.toml").write_text(identifiers(address), encoding="utf-8")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500, cwd=tmp_path)
    finally:
        process.terminate()
        _, told = process.communicate(timeout=90)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "Traceback" not in told, told[-3000:]


def identifiers(address: str) -> str:
    """Those of a session whose pictures are classified, and of its job."""
    with httpx2.Client(base_url=address, timeout=60) as client:
        session = client.post("/api/sessions", json={}).json()["id"]
        client.put(f"/api/sessions/{session}/knowledge", json={"pack": "blood-cells"})
        client.post(f"/api/sessions/{session}/pictures", files=parts({f"{n}.png": cell(n) for n in range(4)}))
        job = client.post(f"/api/sessions/{session}/jobs", json={}).json()["id"]
        client.get(f"/api/jobs/{job}/events")
    return f'[parameters]\nsession_id = "{session}"\njob_id = "{job}"\nplace = 1\nname = "blood-cells"\n'
