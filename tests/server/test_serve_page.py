"""What the page about the service types, as it stands: every `curl` of it, one after the other."""

from __future__ import annotations

import io
import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from tests.server.conftest import CLASSES, cell, finish

from kpl.runs import classify, fit

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
KNOWLEDGE = Path(__file__).parents[2] / "src" / "kpl" / "knowledge" / "packs" / "blood-cells.yaml"
HOST = "localhost:8321"


def sent(line: str, files: dict[str, bytes]) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and what else a line of curl sends."""
    words = iter(shlex.split(line, comments=True)[1:])
    method, path, parts, more = "", "", [], {}
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "--json":
            more = {"content": next(words), "headers": {"content-type": "application/json"}}
        elif word == "-F":
            field, name = next(words).split("=@")
            parts.append((field, (name, files[name])))
        elif not word.startswith("-"):
            path = word.removeprefix(HOST)
    return method or ("POST" if parts or more else "GET"), path, more | ({"files": parts} if parts else {})


def test_every_line_of_the_page_works_as_it_stands(serving: Callable[..., TestClient], tmp_path: Path) -> None:
    (tmp_path / "SCANS").mkdir()
    for number in range(6):
        (tmp_path / "SCANS" / f"cell-{number}.png").write_bytes(cell(number))
    run = classify(tmp_path / "SCANS", knowledge="blood-cells", out=tmp_path / "ward-3")
    fit(tmp_path / "SCANS", knowledge="blood-cells", out=tmp_path / "cells.kpl")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as more:
        for number in range(1, 13):
            more.writestr(f"{number}.png", cell(number))
    labels = f"image,diagnosis\ncell-0001.png,{CLASSES[0]}\n1.png,{CLASSES[1]}\n"
    files = {"cell-0001.png": cell(0), "more.zip": archive.getvalue(), "labels.csv": labels.encode()}
    files["paths.txt"] = f"./{CLASSES[0]}/cell-0001.png\n./{CLASSES[1]}/1.png\n".encode()
    few = (f"{number}.png,{CLASSES[number % 2]}\n" for number in range(1, 13))
    files["few-labels.csv"] = ("image,label\n" + "".join(few)).encode()
    files["mine.yaml"] = KNOWLEDGE.read_bytes()
    client = serving(models=[tmp_path / "cells.kpl"], runs=[run.path])
    lines = re.findall(r"^curl .+$", PAGE, flags=re.MULTILINE)
    assert len(lines) > 12
    known: dict[str, str] = {}
    for line in lines:
        for name, value in known.items():
            line = line.replace(f"${name}", value)
        method, path, more = sent(line, files)
        answer = client.request(method, path, **more)
        assert answer.status_code < 300, f"{line}: {answer.text}"
        if path.endswith("/api/sessions"):
            known.setdefault("ID", answer.json()["id"])
        elif path.endswith("/jobs"):
            known["JOB"] = answer.json()["id"]
            assert finish(client, answer.json())["state"] == "done"
