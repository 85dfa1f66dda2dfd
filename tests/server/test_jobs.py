"""The queue: bounded, cancellable, and finished before the server stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import HERE, all_places, cell, finish, parts

from kpl.errors import KplError, PictureError
from kpl.runs import open_run
from kpl.server.app import create_app
from kpl.server.jobs import Job, Jobs
from kpl.server.limits import Limits
from kpl.server.refusals import Busy, Conflict, Gone, Refused, said_to_strangers
from kpl.server.service import Service


def ended(job: Job) -> str:
    for _ in range(500):
        if job.over:
            return job.state
        time.sleep(0.01)
    raise AssertionError("the job does not end")


@pytest.fixture
def jobs():
    made = Jobs(2)
    yield made
    made.close(5)


def test_a_full_queue_says_so_and_what_waits_can_be_cancelled(jobs: Jobs) -> None:
    go, begun = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        begun.set()
        go.wait(5)
        job.tell("at it", 1, 2)

    running = jobs.add("a", work)
    begun.wait(5)
    waiting = [jobs.add(name, work) for name in ("b", "c")]
    with pytest.raises(Busy):
        jobs.add("d", work)
    with pytest.raises(Conflict):
        jobs.add("a", work)
    assert jobs.count()["queued"] == jobs.waiting == 2
    jobs.cancel(waiting[0].id)
    jobs.cancel_session("a")
    go.set()
    assert [ended(job) for job in (running, *waiting)] == ["cancelled", "cancelled", "done"]
    with pytest.raises(Gone):
        jobs.get("none")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PictureError("what failed"), "what failed"),
        (MemoryError(), "not enough memory"),
        (ValueError("secret"), "the server failed at it (ValueError)"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_job_that_fails_says_why_and_the_next_one_runs(jobs: Jobs, error: Exception, said: str) -> None:
    def fails(_: Job) -> None:
        raise error

    job = jobs.add("a", fails)
    assert ended(job) == "failed"
    assert said in job.error
    assert "secret" not in job.error
    assert ended(jobs.add("a", lambda _: None)) == "done"


def test_a_stopping_queue_finishes_what_runs_and_takes_nothing_new() -> None:
    jobs, begun, done = Jobs(2), threading.Event(), []

    def work(_: Job) -> None:
        begun.set()
        time.sleep(0.2)
        done.append(1)

    running, waiting = jobs.add("a", work), jobs.add("b", work)
    begun.wait(5)
    jobs.close(5)
    assert (running.state, waiting.state, done) == ("done", "cancelled", [1])
    with pytest.raises(Busy, match="stopping"):
        jobs.add("c", work)


def test_a_job_needs_pictures_and_knowledge(client: TestClient, session: str) -> None:
    assert "no pictures" in client.post(f"{session}/jobs", json={}).json()["detail"]
    client.post(f"{session}/pictures", files=parts({"a.png": cell(0)}))
    assert "no knowledge" in client.post(f"{session}/jobs", json={}).json()["detail"]
    for what in ("predictions", "predictions.csv", "report.html", "model.kpl", "pictures/0/evidence"):
        assert client.get(f"{session}/{what}").status_code == 404
    assert client.get("/api/jobs/none").status_code == client.get("/api/jobs/none/events").status_code == 404


def test_cancelling_a_job_that_is_over_changes_nothing(client: TestClient, session: str) -> None:
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{session}/pictures", files=parts({"a.png": cell(0)}))
    job = client.post(f"{session}/jobs", json={}).json()
    assert finish(client, job)["state"] == "done"
    assert client.delete(f"/api/jobs/{job['id']}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "one of the two"),
        ({"pack": "blood-cells", "knowledge": {}}, "one of the two"),
        ({"pack": "../blood-cells"}, "unknown knowledge pack"),
        ({"knowledge": {"kpl_knowledge": 2}}, "task: Field required"),
        ({"knowledge": {"kpl_knowledge": 2, "task": {"name": "x"}, "classes": []}}, "at least two"),
        (
            {"knowledge": {"kpl_knowledge": 2, "task": {"name": "x"}, "classes": [{"key": "a"}, {"key": "b"}]}},
            "no descriptions",
        ),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_knowledge_that_is_none_is_refused(client: TestClient, session: str, body: dict, said: str) -> None:
    answer = client.put(f"{session}/knowledge", json=body)
    assert answer.status_code in (404, 422)
    assert said in answer.json()["detail"]


def test_knowledge_over_the_limits_is_refused(serving: Callable[..., TestClient]) -> None:
    small = serving(classes=2, descriptions=3, sentence=50)
    session = f"/api/sessions/{small.post('/api/sessions', json={}).json()['id']}"

    def put(*classes: list[str]) -> int:
        entries = [{"key": f"c{n}", "descriptions": texts} for n, texts in enumerate(classes)]
        base = {"kpl_knowledge": 2, "task": {"name": "x", "modality": "blood smear"}, "classes": entries}
        return small.put(f"{session}/knowledge", json={"knowledge": base}).status_code

    assert put(["round"], ["square"]) == 200
    assert put(["round"], ["square"], ["flat"]) == 413
    assert put(["round", "red"], ["square", "blue"]) == 413
    assert put(["round " * 20], ["square"]) == 413


def test_encoders_are_names_and_never_paths(client: TestClient, tmp_path: Path) -> None:
    assert client.post("/api/sessions", json={"encoder": str(tmp_path)}).status_code == 404
    assert client.post("/api/sessions", json={"encoder": "openclip:hf-hub:a/b"}).status_code == 404
    answer = client.post("/api/sessions", json={"encoder": "biomedclip"})
    assert answer.status_code == 422
    assert "kpl encoders pull biomedclip" in answer.json()["detail"]
    listed = client.get("/api/encoders").json()
    assert listed[0]["name"] == "mini"
    assert listed[0]["here"]
    assert client.get("/api/packs/nothing").status_code == 404


def test_a_pack_of_the_users_own_stands_for_its_name(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPL_HOME", str(tmp_path))
    shipped = {one["name"]: one for one in client.get("/api/packs").json()}
    assert not any(one["own"] for one in shipped.values())
    (tmp_path / "packs").mkdir()
    own = "kpl_knowledge: 1\ntask: {name: mine, version: 7}\nclasses:\n  - {key: a, descriptions: [one]}\n"
    (tmp_path / "packs" / "blood-cells.yaml").write_text(f"{own}  - {{key: b, descriptions: [two]}}\n")
    listed = {one["name"]: one for one in client.get("/api/packs").json()}
    assert listed.keys() == shipped.keys()
    assert (listed["blood-cells"]["own"], listed["blood-cells"]["version"]) == (True, 7)
    assert listed["brain-mri"] == shipped["brain-mri"]
    assert client.get("/api/packs/blood-cells").json()["task"]["name"] == "mine"


def test_sessions_are_few_and_those_unused_are_removed(serving: Callable[..., TestClient]) -> None:
    few = serving(sessions=2, share=1.0)
    empty = few.post("/api/sessions", json={}).json()["id"]
    first, second = (few.post("/api/sessions", json={}).json()["id"] for _ in range(2))
    assert few.get(f"/api/sessions/{empty}").status_code == 404  # it held nothing
    for name in (first, second):
        few.post(f"/api/sessions/{name}/pictures", files=parts({"a.png": cell(0)}))
    answer = few.post("/api/sessions", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    held = few.app.state.service.sessions  # type: ignore[attr-defined]
    for name in (first, second):
        held.get(name).used -= 2 * Limits().idle_seconds
    few.get(f"/api/sessions/{second}")
    assert few.post("/api/sessions", json={}).status_code == 201
    assert few.get(f"/api/sessions/{first}").status_code == 404
    assert few.get(f"/api/sessions/{second}").status_code == 200


def test_a_stopping_server_loses_no_finished_result(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    service = Service(Limits(workers=1), results=results)
    with TestClient(create_app(service), base_url=HERE) as client:
        session = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
        client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
        client.post(f"{session}/pictures", files=parts({"a.png": cell(0), "b.png": cell(1)}))
        job = client.post(f"{session}/jobs", json={}).json()
        while client.get(f"/api/jobs/{job['id']}").json()["state"] == "queued":
            time.sleep(0.005)
    (kept,) = results.iterdir()
    assert kept.name.endswith(job["id"][:6])
    run = open_run(kept)
    assert list(run.features.ids) == ["a.png", "b.png"]
    assert "a.png" in (run.path / "report.html").read_text(encoding="utf-8")
    assert not service.sessions.folder.exists()


def started(client: TestClient, count: int) -> str:
    """A session of so many classified pictures."""
    session = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{session}/pictures", files=parts({f"{n}.png": cell(n) for n in range(count)}))
    assert finish(client, client.post(f"{session}/jobs", json={}).json())["state"] == "done"
    return session


@pytest.mark.parametrize("stage", ["reading pictures", "reading descriptions", "learning"])
def test_a_cancelled_job_leaves_the_result_as_it_was(
    serving: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str
) -> None:
    """Wherever it is stopped: the predictions, the report, and what the owner of the server keeps."""
    client = serving(results=tmp_path)
    session = started(client, 3)
    before = client.get(f"{session}/predictions").json()
    client.post(f"{session}/pictures", files=parts({"new.png": cell(7)}))
    tell = Job.tell

    def stopped(job: Job, now: str, done: int, total: int) -> None:
        if now == stage and done == total - (stage == "reading descriptions"):
            job.stop.set()
        tell(job, now, done, total)

    monkeypatch.setattr(Job, "tell", stopped)
    job = finish(client, client.post(f"{session}/jobs", json={}).json())
    assert job["state"] == "cancelled"
    monkeypatch.undo()
    assert client.get(f"{session}/predictions").json() == before
    assert client.get(f"{session}/report.html").status_code == 200
    assert not list(tmp_path.glob(f"*{job['id'][:6]}*"))
    assert finish(client, client.post(f"{session}/jobs", json={}).json())["state"] == "done"
    report = client.get(f"{session}/report.html").text
    assert "new.png" in report
    folder = client.app.state.service.sessions.get(session.rsplit("/", 1)[1]).folder  # type: ignore[attr-defined]
    assert len(list(folder.glob("features*"))) == 1


def test_the_report_can_be_had_while_pictures_are_classified(
    serving: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serving()
    session = started(client, 3)
    client.post(f"{session}/pictures", files=parts({"new.png": cell(7)}))
    reached, go = threading.Event(), threading.Event()
    tell = Job.tell

    def waits(job: Job, now: str, done: int, total: int) -> None:
        if now == "reading descriptions":
            reached.set()
            go.wait(30)
        tell(job, now, done, total)

    monkeypatch.setattr(Job, "tell", waits)
    job = client.post(f"{session}/jobs", json={}).json()
    assert reached.wait(30)
    report = client.get(f"{session}/report.html")
    go.set()
    assert finish(client, job)["state"] == "done"
    assert (report.status_code, "new.png" in report.text) == (200, False)


def test_no_error_names_a_path_of_the_server(
    serving: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    client = serving()
    session = started(client, 2)
    held = client.app.state.service.sessions.get(session.rsplit("/", 1)[1])  # type: ignore[attr-defined]
    (held.outcome.features.path / "index.json").unlink()
    answer = client.get(f"{session}/report.html")
    assert answer.status_code == 422
    assert "its log says more" in answer.json()["detail"]
    assert str(held.folder) not in answer.text
    assert str(held.folder) in caplog.text


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("'/srv/kpl-serve-x/features' is no finished feature folder", False),
        ("cannot read C:\\Users\\me\\features", False),
        ("cannot read \\\\host\\share", False),
        ("k must be at least 1 and/or less, see https://example.org/a/b", True),
        ("class 'a/b': night/cell.png is no picture", True),
    ],
)
def test_what_a_path_is(said: str, passes: bool) -> None:
    assert (said_to_strangers(KplError(said)) == said) is passes
    assert said_to_strangers(Refused(said)) == said  # the service's own words hold none


def test_too_many_uploads_at_once_are_told_to_wait(client: TestClient, session: str) -> None:
    with all_places(client.app.state.service.uploads):  # type: ignore[attr-defined]
        answer = client.post(f"{session}/pictures", files=parts({"a.png": cell(0)}))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


@pytest.mark.parametrize("what", ["report.html", "model.kpl"])
def test_too_many_reports_and_models_at_once_are_told_to_wait(client: TestClient, classified: str, what: str) -> None:
    with all_places(client.app.state.service.downloads):  # type: ignore[attr-defined]
        answer = client.get(f"{classified}/{what}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert client.get(f"{classified}/{what}").status_code == 200


def test_health_and_metrics_are_told_when_every_thread_is_taken(client: TestClient) -> None:
    async def without_threads() -> list[int]:
        limiter = anyio.to_thread.current_default_thread_limiter()
        there = httpx2.ASGITransport(app=client.app)
        async with httpx2.AsyncClient(transport=there, base_url=HERE) as asking:
            for _ in range(int(limiter.total_tokens)):
                limiter.acquire_on_behalf_of_nowait(object())
            with anyio.fail_after(60):
                return [(await asking.get(path)).status_code for path in ("/health", "/metrics", "/api/jobs/no/events")]

    assert anyio.run(without_threads) == [200, 200, 404]
