"""What strangers send: damaged and hostile pictures and archives, and names that would be paths."""

from __future__ import annotations

import copy
import csv
import io
import os
import random
import stat
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient
from tests.server.conftest import cell, finish, parts

from kpl.errors import InputError, PictureError
from kpl.server import decoding
from kpl.server.decoding import Decoders, Kept
from kpl.server.limits import Limits
from kpl.server.refusals import Busy, Refused, TooLarge
from kpl.server.sessions import shown_name
from kpl.server.zips import unpack

FUZZED = int(os.environ.get("KPL_FUZZ", "150"))
"""Mutated files that are sent; `make fuzz` sends 2000."""


def archive(entries: dict[str, bytes], **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = options.get(name, 0o644) << 16
            made.writestr(entry, data)
    return buffer.getvalue()


def unpacked(data: bytes, **limits: int) -> list[tuple[str, bytes | str]]:
    return list(unpack(io.BytesIO(data), Limits(**limits)))


def test_an_archive_of_a_folder_is_taken(client: TestClient, session: str) -> None:
    data = archive({"a/b/1.png": cell(1), "a/2.png": cell(2), "a/notes.txt": b"x", ".hidden": b"x", "__MACOSX/1": b"x"})
    said = client.post(f"{session}/pictures", files=parts({"folder.zip": data})).json()
    assert (said["added"], [item["name"] for item in said["left_out"]]) == ([0, 1], ["a/notes.txt"])
    assert client.get(f"{session}/pictures").json()["names"] == ["a/b/1.png", "a/2.png"]


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/etc/a.png", "\\a.png", "a\\..\\b.png", "C:/a.png"])
def test_an_archive_that_leads_out_is_refused(client: TestClient, session: str, name: str) -> None:
    """What was read before stays, and is what the session says it holds."""
    data = archive({"1.png": cell(1), "2.png": cell(2), name: cell(0), "3.png": cell(3)})
    said = client.post(f"{session}/pictures", files=parts({"a.zip": data})).json()
    assert (said["added"], [item["name"] for item in said["left_out"]]) == ([0, 1], ["a.zip"])
    assert "leads out" in said["left_out"][0]["reason"]
    now = client.get(session).json()
    assert (now["pictures"], now["left_out"]) == (2, said["left_out"])


def test_one_bad_archive_takes_no_good_picture_with_it(client: TestClient, session: str) -> None:
    bad = {
        "empty.png": b"",
        "cut.zip": archive({"a.png": cell(0)})[:-30],
        "bomb.zip": archive({"a.png": bytes(60 << 20)}),
    }
    files = [*parts(bad), *parts({f"{n}.png": cell(n) for n in range(10)})]
    said = client.post(f"{session}/pictures", files=[files[3], *files[:3], *files[4:]]).json()
    assert said["added"] == list(range(10))
    reasons = {item["name"]: item["reason"] for item in said["left_out"]}
    assert set(reasons) == set(bad)
    for name, reason in (("empty.png", "0 bytes"), ("cut.zip", "damaged"), ("bomb.zip", "far more")):
        assert reason in reasons[name]


def test_a_bomb_is_refused() -> None:
    with pytest.raises(TooLarge, match="far more"):
        unpacked(archive({"a.png": bytes(60 << 20)}))
    with pytest.raises(TooLarge, match="far more"):
        unpacked(archive({f"{n}.bin": os.urandom(4000) for n in range(5)}), zip_bytes=10_000)
    with pytest.raises(TooLarge, match="at most 3"):
        unpacked(archive({f"{n}.bin": b"x" for n in range(4)}), zip_entries=3)


def test_files_that_share_their_bytes_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.png", bytes(1 << 19))
        for number in range(300):
            again = copy.copy(made.getinfo("a.png"))
            again.filename = f"b{number}.png"
            made.filelist.append(again)
    with pytest.raises(TooLarge, match="far more"):
        unpacked(buffer.getvalue())


def test_what_one_archive_unpacks_to_is_measured_by_the_whole_archive() -> None:
    many = archive({f"{number}.png": bytes(1 << 20) for number in range(30)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(TooLarge, match="far more"):
        unpacked(many, zip_ratio=100)


def test_what_no_archive_of_pictures_holds_is_left_out() -> None:
    inner = archive({"a.png": b"x"})
    data = archive(
        {"link.png": b"/etc/passwd", "in.zip": inner, "large.png": os.urandom(3000)},
        **{"link.png": stat.S_IFLNK | 0o777},
    )
    found = dict(unpacked(data, file_bytes=2000))
    assert "symbolic link" in str(found["link.png"])
    assert "archive in an archive" in str(found["in.zip"])
    assert "at most" in str(found["large.png"])


def test_an_encrypted_file_is_left_out() -> None:
    data = bytearray(archive({"a.png": b"x"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in str(dict(unpacked(bytes(data)))["a.png"])


@given(st.binary(max_size=200))
def test_a_damaged_archive_is_refused(rest: bytes) -> None:
    with pytest.raises(Refused):
        unpacked(b"PK\x03\x04" + rest)


@given(st.text(max_size=300))
def test_a_shown_name_is_no_way_out(raw: str) -> None:
    name = shown_name(raw)
    assert 0 < len(name) <= 200
    assert name.isprintable()
    assert ".." not in name.split("/")
    assert not name.startswith("/")
    name.encode()


@pytest.mark.parametrize("length", [5000, 300_000])
def test_a_long_name_spoils_no_other_file_and_not_even_its_own(client: TestClient, session: str, length: int) -> None:
    long = "a" * length + ".png"
    said = client.post(f"{session}/pictures", files=parts({"b.png": cell(0), long: cell(1), "c.png": cell(2)})).json()
    assert (said["added"], said["left_out"]) == ([0, 1, 2], [])
    assert client.get(f"{session}/pictures").json()["names"] == ["b.png", long[-200:], "c.png"]


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_form_that_is_none_is_refused(client: TestClient, session: str, kind: str) -> None:
    answer = client.post(f"{session}/pictures", content=b"--y\r\nnone", headers={"content-type": kind})
    assert answer.status_code == 400


def test_a_quote_in_a_name_is_shown_as_one(client: TestClient, session: str) -> None:
    client.post(f"{session}/pictures", files=parts({'the "third".png': cell(0)}))
    assert client.get(f"{session}/pictures").json()["names"] == ['the "third".png']


def test_no_name_of_a_client_touches_the_disk(client: TestClient, session: str) -> None:
    names = ["../../evil.png", "/etc/evil.png", "a\\b\\evil.png", "=evil().png", "evil.png"]
    client.post(f"{session}/pictures", files=[("files", (name, cell(0))) for name in names])
    folder: Path = client.app.state.service.sessions.folder  # type: ignore[attr-defined]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path for path in folder.rglob("*") if "evil" in path.name] == []
    assert len(client.get(f"{session}/pictures").json()["names"]) == len(names)


def test_a_name_that_is_a_formula_is_no_formula_in_the_table(client: TestClient, session: str) -> None:
    """Neither that of a file nor that of a class."""
    classes = [{"key": "=cmd|calc", "descriptions": ["round"]}, {"key": "@b", "descriptions": ["square"]}]
    base = {"kpl_knowledge": 2, "task": {"name": "x", "modality": "blood smear"}, "classes": classes}
    client.put(f"{session}/knowledge", json={"knowledge": base})
    client.post(f"{session}/pictures", files=[("files", ("=1+1.png", cell(0))), ("files", ("b.png", cell(1)))])
    finish(client, client.post(f"{session}/jobs", json={}).json())
    rows = list(csv.reader(io.StringIO(client.get(f"{session}/predictions.csv").text)))
    assert [row[0] for row in rows[1:]] == ["'=1+1.png", "b.png"]
    assert {text for row in rows[1:] for text in (row[1], row[4])} == {"'=cmd|calc", "'@b"}


def test_files_are_gone_when_the_session_is(client: TestClient) -> None:
    session = client.post("/api/sessions", json={}).json()["id"]
    folder = client.app.state.service.sessions.get(session).folder  # type: ignore[attr-defined]
    client.post(f"/api/sessions/{session}/pictures", files=parts({"a.png": cell(0)}))
    assert len(list(folder.iterdir())) == 2
    assert client.delete(f"/api/sessions/{session}").status_code == 204
    assert not folder.exists()
    for request in (client.get, client.delete):
        assert request(f"/api/sessions/{session}").status_code == 404


def test_a_full_session_says_so(serving: Callable[..., TestClient]) -> None:
    small = serving(pictures=2)
    session = small.post("/api/sessions", json={}).json()["id"]
    files = parts({f"{n}.png": cell(n) for n in range(3)})
    said = small.post(f"/api/sessions/{session}/pictures", files=files).json()
    assert said["added"] == [0, 1]
    assert [item["name"] for item in said["left_out"]] == ["2.png"]
    assert "full with 2 pictures" in said["left_out"][0]["reason"]


def test_a_picture_for_which_no_decoder_is_free_is_named(
    client: TestClient, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Decoders.keep

    def busy(self: Decoders, data: bytes, shrink_to: int) -> Kept:
        if data == cell(1):
            raise Busy("all decoders are at work: try again in a moment")
        return keep(self, data, shrink_to)

    monkeypatch.setattr(Decoders, "keep", busy)
    said = client.post(f"{session}/pictures", files=parts({f"{n}.png": cell(n) for n in range(3)})).json()
    assert (said["added"], [item["name"] for item in said["left_out"]]) == ([0, 1], ["1.png"])


def test_a_session_that_ends_during_an_upload(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says so, and no file stays."""
    session = client.post("/api/sessions", json={}).json()["id"]
    folder = client.app.state.service.sessions.get(session).folder  # type: ignore[attr-defined]
    keep = Decoders.keep

    def ends(self: Decoders, data: bytes, shrink_to: int) -> Kept:
        if data == cell(1):
            assert client.delete(f"/api/sessions/{session}").status_code == 204
        return keep(self, data, shrink_to)

    monkeypatch.setattr(Decoders, "keep", ends)
    files = parts({f"{n}.png": cell(n) for n in range(6)})
    answer = client.post(f"/api/sessions/{session}/pictures", files=files)
    assert (answer.status_code, "it was ended" in answer.text) == (404, True)
    assert not folder.exists()


@pytest.mark.parametrize("what", ["pictures/0/thumbnail", "pictures/0/picture", "predictions.csv", "report.html"])
def test_a_session_that_ends_while_its_files_are_asked_for(
    client: TestClient, cells: dict[str, bytes], what: str
) -> None:
    """Whoever has found the session before it ended hears that it is gone."""
    from kpl.server.api import _session

    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    client.put(f"{address}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{address}/pictures", files=parts(cells))
    finish(client, client.post(f"{address}/jobs", json={}).json())
    session = client.app.state.service.sessions.get(address.rsplit("/", 1)[1])  # type: ignore[attr-defined]
    answer = client.get(f"{address}/{what}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    with session.at_work():
        client.delete(address)
        assert session.folder.exists()  # somebody reads in it
    assert not session.folder.exists()
    overrides = client.app.dependency_overrides  # type: ignore[attr-defined]
    overrides[_session] = lambda: session
    try:
        assert client.get(f"{address}/{what}").status_code == 404
    finally:
        overrides.clear()


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(Limits(workers=1, decode_seconds=5, pixels=1_000_000, file_bytes=100_000))
    yield made
    made.close()


def test_a_picture_is_kept_small_and_whole(decoders: Decoders) -> None:
    kept = decoders.keep(cell(0, side=192), 96)
    assert Image.open(io.BytesIO(kept.png)).size == (96, 96)
    assert max(Image.open(io.BytesIO(kept.thumbnail)).size) == 96
    pixels = decoders.pixels(cell(0, side=64), 96)
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(cell(0, side=64))).convert("RGB")))


def test_pixels_bytes_and_nonsense_are_refused(decoders: Decoders) -> None:
    bomb = io.BytesIO()
    Image.new("1", (5000, 5000)).save(bomb, "PNG")
    with pytest.raises(PictureError, match="more than the 1 megapixels"):
        decoders.keep(bomb.getvalue(), 96)
    with pytest.raises(PictureError, match="at most 0 MiB"):
        decoders.keep(bytes(100_001), 96)
    with pytest.raises(PictureError, match="empty"):
        decoders.keep(b"", 96)
    with pytest.raises(PictureError, match="header is damaged"):
        decoders.pixels(b"nonsense", 96)


@pytest.mark.long
def test_a_decoder_that_takes_too_long_is_ended_and_replaced() -> None:
    decoders = Decoders(Limits(workers=1, decode_seconds=0.002))
    try:
        slow = io.BytesIO()
        Image.effect_noise((4000, 4000), 90).save(slow, "PNG", compress_level=1)
        with pytest.raises(PictureError, match="takes longer than"):
            decoders.keep(slow.getvalue(), 8)
        decoders._limits = Limits(workers=1, decode_seconds=30)
        assert decoders.keep(cell(0), 96).png
    finally:
        decoders.close()


def test_a_decoder_that_is_killed_from_outside_is_replaced_and_the_picture_tried_again(decoders: Decoders) -> None:
    """Whether it had begun or not, and in the middle of a picture: it is the picture's fault only the second time."""
    for warm in (True, False):
        worker = decoders._idle.get()
        decoders._idle.put(worker)
        if warm:
            decoders.keep(cell(0), 96)
        worker._process.kill()
        worker._process.join()
        assert decoders.keep(cell(0), 96).png
        assert decoders._idle.queue[0] is not worker


@pytest.mark.long
def test_a_decoder_is_killed_in_the_middle_of_a_picture() -> None:
    decoders = Decoders(Limits(workers=1, decode_seconds=60))
    try:
        decoders.keep(cell(0), 96)
        large = io.BytesIO()
        Image.effect_noise((6000, 6000), 90).save(large, "PNG", compress_level=1)
        worker = decoders._idle.queue[0]
        threading.Timer(0.2, worker._process.kill).start()
        assert decoders.keep(large.getvalue(), 96).png
        assert not worker.alive
    finally:
        decoders.close()


def test_a_picture_of_which_two_decoders_die_is_refused(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decoding._Worker, "ask", lambda self, *_: vars(self).update(alive=False, ready=True))
        with pytest.raises(PictureError, match="stops the decoder, twice"):
            decoders.keep(cell(0), 96)
    assert decoders.keep(cell(0), 96).png


def test_decoders_that_do_not_start_are_no_pictures_fault(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decoding._Worker, "ask", lambda self, *_: setattr(self, "alive", False))
        decoders._idle.queue[0].ready = False
        with pytest.raises(Busy, match="do not start"):
            decoders.keep(cell(0), 96)
    assert decoders.keep(cell(0), 96).png


def test_when_all_decoders_are_at_work_it_is_busy() -> None:
    decoders = Decoders(Limits(workers=1, decode_seconds=0.05))
    worker = decoders._idle.get()
    try:
        with pytest.raises(Busy):
            decoders.keep(cell(0), 96)
    finally:
        decoders._idle.put(worker)
        decoders.close()


def test_a_limit_must_mean_something() -> None:
    with pytest.raises(InputError, match="limit workers must be above zero"):
        Limits(workers=0)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or overwrite a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        place = rng.randrange(len(changed))
        kind = rng.randrange(4)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place : place + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        elif kind == 2:
            del changed[place : place + rng.randrange(1, 40)]
        else:
            changed[place:place] = changed[place : place + rng.randrange(1, 40)]
        if not changed:
            changed = bytearray(b"\0")
    return bytes(changed)


@pytest.mark.long
def test_mutated_files_crash_nothing(serving: Callable[..., TestClient]) -> None:
    rng = random.Random(20261122)  # noqa: S311 - the same every time
    whole = [cell(n, kind, side=48) for n, kind in enumerate(("PNG", "JPEG", "TIFF"))]
    whole.append(archive({"a.png": whole[0], "b.jpg": whole[1]}))
    client = serving(workers=2, session_bytes=1 << 30)
    session = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    started, seen = time.monotonic(), 0
    while seen < FUZZED:
        files = [("files", (f"{seen + n}", mutated(rng.choice(whole), rng))) for n in range(4)]
        answers = [client.post(f"{session}/pictures", files=[file]) for file in files]
        assert {answer.status_code for answer in answers} <= {200, 413, 422}, [a.text for a in answers]
        seen += len(files)
    assert client.get("/health").status_code == 200
    assert client.post(f"{session}/pictures", files=parts({"a.png": cell(0)})).json()["added"]
    print(f"{seen} files in {time.monotonic() - started:.0f} s: {client.get(session).json()['pictures']} were pictures")  # noqa: T201
