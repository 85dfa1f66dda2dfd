"""A figure of matplotlib as part of a page: its text stays text, and its colours follow the light or dark theme."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from kpl.evaluation import figure_bytes
from kpl.report.marks import COLOURS

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d0d7de",
    "rest": "#8c959f",
    **dict(zip(COLOURS, ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"), strict=True)),
}
"""The page's colours by name, in its light theme: what figures are drawn in, and what `style.css` begins with."""
_NAMED = {value: f"var(--{name})" for name, value in LIGHT.items()}
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_DROPPED = (f"{_SVG}metadata", f"{_SVG}style", f"{_SVG}clipPath")
_FONT = re.compile(r"font-family:[^;]*;? ?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def inline_figure(figure: Any, title: str, told: str) -> Markup:  # noqa: ANN401 - matplotlib is loaded when it draws
    """Return a matplotlib `Figure` as an SVG element that a screen reader can tell.

    An artist's `gid` that begins with `css-` becomes its class in the page.

    Args:
        figure: drawn in the colours of `LIGHT`.
        title: what it is.
        told: what it shows.
    """
    drawn = figure_bytes(lambda: figure, ".svg", text_as_text=True, salt=title)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - matplotlib has just written it
    for parent in root.iter():
        for child in [child for child in parent if child.tag in _DROPPED]:
            parent.remove(child)
    kept = {element.get(f"{_XLINK}href", "").removeprefix("#") for element in root.iter()}
    for element in root.iter():
        _adapt(element, kept)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "class": "chart", "aria-label": f"{title}. {told}"}
    root.set("style", f"max-width:{1.5 * 72 * figure.get_figwidth():.0f}px")  # an inch has 72 units of the drawing
    for place, (tag, words) in enumerate((("title", title), ("desc", told))):
        element = ElementTree.Element(tag)
        element.text = words
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - written by an XML writer, which escapes


def _adapt(element: ElementTree.Element, kept: set[str]) -> None:
    """Write as HTML does, without namespaces; drop ids that would be there twice, and fonts; name the colours."""
    element.tag = element.tag.removeprefix(_SVG)
    element.attrib.pop("clip-path", None)  # nothing is drawn outside the axes
    name = element.get("id")
    if name is not None and name not in kept:
        del element.attrib["id"]
        if name.startswith("css-"):
            element.set("class", name.removeprefix("css-"))
    if (target := element.attrib.pop(f"{_XLINK}href", None)) is not None:
        element.set("href", target)
    if path := element.get("d"):
        element.set("d", " ".join(path.split()))
    if style := element.get("style"):
        style = _COLOUR.sub(lambda found: _NAMED.get(found[0], found[0]), style)
        element.set("style", _FONT.sub("", style))
    for text in ("text", "tail"):
        if not (getattr(element, text) or "").strip():
            setattr(element, text, None)
