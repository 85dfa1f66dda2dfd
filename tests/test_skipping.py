"""A test that is left out is seen: with its reason at the end of each run, and as a failure where all can be run."""

import pytest
import tests.conftest as rules


def skipped(reason: str) -> pytest.TestReport:
    return pytest.TestReport("a", ("f", 1, "a"), {}, "skipped", ("f", 1, f"Skipped: {reason}"), "call")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "marks", "outcome"),
    [
        ("the data are not there", ("shared",), "failed"),
        ("no root", (), "failed"),
        ("no Chromium", ("browser",), "skipped"),
        ("not installed: torch", ("torch",), "skipped"),
        ("not installed: llama-cpp-python", (), "skipped"),
    ],
)
def test_nothing_is_left_out_but_what_other_parts_run(monkeypatch, tmp_path, reason, marks, outcome):
    monkeypatch.setattr(rules, "SHARED", tmp_path)
    rules._as_a_failure(report := skipped(reason), marks)
    assert report.outcome == outcome
    assert reason in str(report.longrepr)
    monkeypatch.setattr(rules, "SHARED", tmp_path / "nothing")
    rules._as_a_failure(report := skipped(reason), marks)
    assert report.outcome == "skipped"
