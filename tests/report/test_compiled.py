"""The templates of a report are compiled once, like modules, and anew when one of them was changed."""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2
import pytest

from kpl.report import compiled

SOURCE = Path(compiled.__file__).parent / "templates"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of templates that were compiled."""
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    names: list[str] = []
    own = jinja2.Environment.compile

    def compile_(self, source, name=None, *given, **more):
        names.append(name)
        return own(self, source, name, *given, **more)

    monkeypatch.setattr(jinja2.Environment, "compile", compile_)
    return names


def shown(name: str, **values: object) -> str:
    return compiled.templates(lambda value: value).get_template(name).render(values)


def test_a_template_is_compiled_once_and_again_when_it_changed(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>{{ x }}</p>", encoding="utf-8")
    assert [shown("page.html", x="<") for _ in range(3)] == ["<p>&lt;</p>"] * 3
    assert asked == ["page.html"]
    page.write_text("<b>{{ x }}</b>!", encoding="utf-8")
    assert shown("page.html", x=1) == "<b>1</b>!"
    monkeypatch.setattr(jinja2, "__version__", "another")
    assert shown("page.html", x=2) == "<b>2</b>!"
    assert asked == ["page.html"] * 3
    with pytest.raises(jinja2.UndefinedError):
        shown("page.html")
    with pytest.raises(jinja2.TemplateNotFound):
        shown("none.html")


def test_where_nothing_may_be_kept_templates_work(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_text("{{ x }}", encoding="utf-8")
    (tmp_path / "__pycache__").write_text("a file in the way", encoding="utf-8")
    assert [shown("page.html", x=3) for _ in range(2)] == ["3"] * 2


def test_no_two_templates_are_kept_under_one_name() -> None:
    """What Python keeps has the name before the suffix."""
    names = [path.stem for path in SOURCE.iterdir() if path.is_file()]
    assert len(names) == len(set(names)) >= 5
