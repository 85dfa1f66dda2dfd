"""The texts that a method wants of each class: prompts to encode in a run, stand-ins from a feature bundle.

A bundle holds the features of prompts and no encoder, so that no new prompt can be read. What stands in there:

names        the plainest template
templates    the templates, where the bundle tells them
random       the class name, moved by what descriptions of random classes add to their own name
subclasses   the class name, then every description as if it named a subclass
pairs        each description against the mean of the same description (or of all) of the other classes
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.knowledge import KnowledgeBase
from kpl.methods import Method
from kpl.proxies.arrays import unit_rows

Rows = NDArray[np.floating]

_PLAIN_TEMPLATE = "a photo of a {}."
_QUALITIES = (
    "",
    "bad ",
    "good ",
    "blurry ",
    "bright ",
    "dark ",
    "cropped ",
    "close-up ",
    "low resolution ",
    "black and white ",
)
_FRAMES = (
    "a {q}photo of a {name}.",
    "a {q}photo of the {name}.",
    "a {q}picture of a {name}.",
    "a {q}picture of the {name}.",
    "a {q}image of a {name}.",
    "a {q}image of the {name}.",
    "a {q}photo of one {name}.",
    "a {q}photo of a small {name}.",
)
_WORDS = """
apple basket bridge candle carpet chair cloud copper corner cotton curtain dance desert dinner engine evening
feather fiddle garden glass hammer harbour island journey kettle ladder lantern letter marble market melody
mirror mountain needle ocean orchard paper pencil pepper pillow pocket river saddle saturday shadow silver
spoon summer table ticket timber tower tunnel valley velvet village violin wagon weather whistle window winter
""".split()  # noqa: SIM905 - a list of words reads best as words


def wanted_prompts(method: Method, knowledge: KnowledgeBase) -> list[list[str]]:
    """Return the prompts that an encoder has to read for a method, one list a class."""
    names = [[prompt] for prompt in knowledge.name_prompts()]
    descriptions = knowledge.prompts()
    if method.reads == "names":
        return names
    if method.reads == "templates":
        filled = [[f.format(q=q, name=entry.name) for q in _QUALITIES for f in _FRAMES] for entry in knowledge.classes]
        return [[text.replace("a image", "an image") for text in texts] for texts in filled]
    if method.reads == "random":
        nonsense = _nonsense(*_draw(method))
        template = knowledge.task.template
        return [[template.format(**{"class": c.name, "description": d}) for d in nonsense] for c in knowledge.classes]
    if method.reads == "subclasses":
        return [[*name, *rows] for name, rows in zip(names, descriptions, strict=True)]
    if method.reads == "pairs":
        both = zip(descriptions, knowledge.absent_prompts(), strict=True)
        return [[*there, *(absent if len(absent) == len(there) else absent * len(there))] for there, absent in both]
    return descriptions


def bundle_texts(method: Method, descriptions: Sequence[Rows], templates: Sequence[str] = ()) -> list[Rows]:
    """Return what stands in for a method's texts in a bundle, (m_c, d) a class.

    Args:
        method: says what it reads.
        descriptions: of the classes that take part, (m_c, d) unit rows each.
        templates: of the bundle, one a row; empty when it does not tell.

    Raises:
        InputError: nothing can stand in; says why.

    Example:
        >>> from kpl.methods import make_method
        >>> bundle_texts(make_method("names"), [np.eye(2)], ["a bad photo of a {}.", "a photo of a {}."])[0].tolist()
        [[0.0, 1.0]]
    """
    rows = list(descriptions)
    if method.reads == "descriptions":
        return rows
    if method.reads == "pairs":
        return [np.concatenate([own, _of_others(rows, c)]) for c, own in enumerate(rows)]
    if not templates or any(len(own) != len(templates) for own in rows):
        raise InputError(f"{method.name} needs class names, and the bundle tells no templates by which to find them")
    if method.reads == "templates":
        return rows
    plainest = templates.index(min(templates, key=lambda t: (t != _PLAIN_TEMPLATE, len(t), t)))
    names = [own[plainest][None] for own in rows]
    if method.reads == "names":
        return names
    if method.reads == "subclasses":
        return [np.concatenate([name, own]) for name, own in zip(names, rows, strict=True)]
    count, rng = _draw(method)
    picks = zip(rng.integers(len(rows), size=count), rng.integers(len(templates), size=count), strict=True)
    offsets = np.stack([rows[c][j] - names[c][0] for c, j in picks])
    return [unit_rows(name + offsets) for name in names]


def _of_others(rows: list[Rows], c: int) -> Rows:
    others = [own for place, own in enumerate(rows) if place != c]
    if all(own.shape == rows[c].shape for own in others):
        return unit_rows(np.mean(others, axis=0))
    return np.repeat(unit_rows(np.concatenate(others).mean(axis=0, keepdims=True)), len(rows[c]), axis=0)


def _draw(method: Method) -> tuple[int, np.random.Generator]:
    settings = {"pairs": 15, "seed": 0} | method.get_params()
    pairs, seed = int(settings["pairs"]), int(settings["seed"])
    if pairs < 1 or seed < 0:
        raise InputError(f"pairs must be at least 1 and the seed zero or more, got {pairs} and {seed}")
    return 2 * pairs, np.random.default_rng(seed)


def _nonsense(count: int, rng: np.random.Generator) -> list[str]:
    """Half of them two random words, half two random strings of letters."""
    letters = list(string.ascii_lowercase)
    words = [" ".join(rng.choice(_WORDS, 2)) for _ in range(count // 2)]
    return words + [" ".join("".join(rng.choice(letters, 5)) for _ in range(2)) for _ in range(count // 2)]
