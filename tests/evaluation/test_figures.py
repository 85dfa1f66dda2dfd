"""The figure of a table: drawn for every kind of table, the same bytes each time, refused early where it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kpl.errors import OutputError
from kpl.evaluation import FIGURE_SUFFIXES, Predicted, Resampling, check_figure, compare, draw_table


def table(n_classes=3, n=60, *, probabilities=True):
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n)])
    raw = rng.random((len(truth), n_classes)) + np.eye(n_classes)[truth]
    raw /= raw.sum(axis=1, keepdims=True)
    said = Predicted(raw.argmax(axis=1), raw if probabilities else None)
    keys = [f"class {k}" for k in range(n_classes)]
    results = {"kpl": said, "names": Predicted(1 - np.minimum(said.predictions, 1))}
    return compare(truth, results, n_classes=n_classes, classes=keys, reference="kpl", resampling=Resampling(50))


def test_a_figure_names_methods_and_classes_and_is_the_same_again():
    first = draw_table(table(), ".svg")
    assert first == draw_table(table(), ".svg")
    text = first.decode()
    for words in ("<!-- kpl -->", "<!-- class 2 -->", "Reliability of kpl", "Confusion matrix of kpl"):
        assert words in text
    assert draw_table(table(), ".png").startswith(b"\x89PNG")
    assert draw_table(table(), ".PDF").startswith(b"%PDF")


def test_what_is_not_there_is_not_drawn():
    text = draw_table(table(probabilities=False), ".svg").decode()
    assert text.count("<!-- no probabilities that sum to one -->") == 2
    assert "not drawn for this many classes" in draw_table(table(120), ".svg", focus="names").decode()


def test_a_figure_that_cannot_be_drawn_is_refused_before_the_work():
    for suffix in FIGURE_SUFFIXES:
        check_figure(Path(f"a{suffix}"))
    with pytest.raises(OutputError, match=r"a\.gif: a figure ends in \.svg, \.png, \.pdf"):
        check_figure(Path("a.gif"))
