"""The service against its own OpenAPI document: whatever is sent, it never fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import cell, parts
from tests.server.test_running import started

import kpl.server.app  # noqa: F401 - with it all that is said over the wire
from kpl.server.said import Said

_KNOWLEDGE = {"Task", "Ignored", "Provenance", "Rejected", "KnowledgeBase", "KnowledgeClass", "Description"}
"""Stated in the schema of knowledge files."""
EXAMPLES = os.environ.get("KPL_EXAMPLES", "10")
"""Requests for each route and way of making them; `make fuzz` sends 100."""

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
CHECKS += "response_schema_conformance"


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
            assert {"503", "429", "421"} <= set(operation["responses"])


def test_the_document_is_enough_to_work_from(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    models = document["components"]["schemas"]
    for name, model in models.items():
        for field, stated in model.get("properties", {}).items():
            assert stated.get("description") or name in _KNOWLEDGE, f"{name}.{field}"
    assert "HTTPValidationError" not in models
    assert models["JobInfo"]["properties"]["state"]["enum"] == ["queued", "running", "done", "failed", "cancelled"]
    assert "KnowledgeBase" in str(models["Choice"]["properties"]["knowledge"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers, where = operation["responses"], f"{method} {path}"
            assert operation.get("security") == (None if path == "/health" else [{"token": []}]), where
            assert ("401" in answers) == (path != "/health"), where
            assert ("400" in answers) == ("requestBody" in operation), where
            assert all(parameter.get("description") for parameter in operation.get("parameters", ())), where
            assert all("Retry-After" in answers[status]["headers"] for status in ("429", "503")), where
            done = {status: said for status, said in answers.items() if status < "300"}
            assert all(said.get("content") for status, said in done.items() if status != "204"), where
    assert set(document["paths"]["/health"]["get"]["responses"]) == {"200", "421", "429", "503"}
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def models(of: type[Said] = Said) -> Iterator[type[Said]]:
    """Everything that goes over the wire, without what only holds it together."""
    for model in of.__subclasses__():
        if not model.__name__.startswith("_"):
            yield model
        yield from models(model)


@pytest.mark.parametrize("model", list(models()))
def test_examples_are_examples(model: type[Said]) -> None:
    for example in model.model_json_schema()["examples"]:
        model.model_validate(example)


def test_a_body_that_is_no_json_cannot_be_read(client: TestClient) -> None:
    answer = client.post("/api/sessions", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert client.post("/api/sessions", json={"encoder": 1}).status_code == 422


@pytest.mark.fuzz
@pytest.mark.parametrize("known", [False, True])
def test_nothing_that_the_document_allows_or_forbids_makes_it_fail(tmp_path: Path, *, known: bool) -> None:
    program = shutil.which("schemathesis", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])))
    if program is None:
        reason = "no schemathesis: pip install --group browser"
        (pytest.fail if os.environ.get("KPL_REQUIRE_EXTRAS") == "1" else pytest.skip)(reason)
    process, address = started("--verbose")
    command = [program, "run", f"{address}openapi.json", "--checks", CHECKS, "--mode", "all"]
    command += ["--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing,stateful", "--seed", "1"]
    command += ["--request-timeout", "30", "--suppress-health-check", "all", "--no-color"]
    with process, ThreadPoolExecutor(1) as pool:
        assert process.stderr is not None
        told = pool.submit(process.stderr.read)  # all the time: a server that cannot write its log waits
        try:
            if known:
                command += ["--exclude-method", "DELETE"]
                (tmp_path / "schemathesis.toml").write_text(identifiers(address), encoding="utf-8")
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500, cwd=tmp_path)
        finally:
            process.terminate()
            process.wait(timeout=90)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "Traceback" not in told.result(), told.result()[-3000:]


def identifiers(address: str) -> str:
    """Those of a session whose pictures are classified, and of its job."""
    with httpx2.Client(base_url=address, timeout=60) as client:
        session = client.post("/api/sessions", json={}).json()["id"]
        client.put(f"/api/sessions/{session}/knowledge", json={"pack": "blood-cells"})
        client.post(f"/api/sessions/{session}/pictures", files=parts({f"{n}.png": cell(n) for n in range(4)}))
        job = client.post(f"/api/sessions/{session}/jobs", json={}).json()["id"]
        client.get(f"/api/jobs/{job}/events")
    return f'[parameters]\nsession_id = "{session}"\njob_id = "{job}"\nplace = 1\nname = "blood-cells"\n'
