"""The picture of how alike classes are to the text, and the same in the report."""

from __future__ import annotations

import numpy as np
import pytest

from kpl.errors import OutputError
from kpl.methods import class_similarity
from kpl.proxies.arrays import unit_rows
from kpl.report import draw_similarity, similarity_figure
from kpl.report.single_label import SingleLabelStory
from kpl.runs import open_run


def proxies(n, dim=70):
    rows = unit_rows(np.random.default_rng(n).normal(size=(n, dim)) + 2)
    rows[1] = rows[0]
    return rows


def test_it_names_the_classes_and_their_similarity_and_is_the_same_again():
    found = class_similarity(proxies(4))
    names = ["round", "square", "a $x^2 {\\bad", "<b>"]
    text = draw_similarity(found, names, ".svg").decode()
    assert text == draw_similarity(found, names, ".svg").decode()
    assert "<!-- round -->" in text
    assert "<!-- a $x^2 {\\bad -->" in text, "a dollar is no formula"
    assert text.count("<!-- 1.00 -->") >= 4 + 2, "the diagonal, and the two that collapse"
    assert draw_similarity(found, names, ".png").startswith(b"\x89PNG")
    assert similarity_figure(found, names)._repr_png_()[0].startswith(b"\x89PNG"), "what a notebook shows"
    with pytest.raises(OutputError, match="a figure ends in"):
        draw_similarity(found, names, ".gif")


@pytest.mark.parametrize(("n", "numbers", "named"), [(20, True, True), (21, False, True), (61, False, False)])
def test_it_stays_readable_however_many_classes(n, numbers, named):
    axes = similarity_figure(class_similarity(proxies(n)), [f"class {c}" for c in range(n)]).axes[0]
    assert (len(axes.texts) == n * n) == numbers
    assert (axes.get_xticklabels() != []) == named
    if named:
        order = class_similarity(proxies(n)).order
        assert [label.get_text() for label in axes.get_yticklabels()] == [f"class {c}" for c in order]


def test_the_report_tells_verdicts_and_similarities(run):
    told = SingleLabelStory(open_run(run)).tell()
    names = [entry["name"] for entry in told["knowledge"]]
    assert sorted(told["alike"]["names"]) == sorted(names)
    assert all(len(cells) == len(names) for _, cells in told["alike"]["rows"])
    assert all(sentence["verdict"] for entry in told["knowledge"] for sentence in entry["sentences"])
    assert told["alike"]["pairs"] == []


def test_the_report_lists_the_most_alike_pairs_of_many_classes(run, monkeypatch):
    monkeypatch.setattr("kpl.report.single_label._TABLED", 2)
    told = SingleLabelStory(open_run(run)).tell()["alike"]
    assert told["rows"] == []
    cosines = [cosine for _, _, cosine, _ in told["pairs"]]
    assert cosines == sorted(cosines, reverse=True)
    assert len(cosines) == 3
