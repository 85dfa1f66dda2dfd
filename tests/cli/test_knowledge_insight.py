"""`kpl knowledge show FILE --features DIR`: the command in its own process, and what it refuses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import kpl as library


def moved(knowledge, tmp_path, **changes):
    """The small knowledge file, changed."""
    content = json.loads(knowledge.read_text())
    content.update(changes)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content))
    return path


def test_it_says_what_each_description_does(kpl, features, knowledge, tmp_path):
    options = ("--json", "told.json", "--figure", "classes.svg")
    told = kpl("knowledge", "show", knowledge, "--features", features, *options)
    assert "small over 12 pictures, by kpl with mini, without labels" in told.plain
    for words in ("nearest by text", "How alike the classes are", "Figures written to told.json", "Drawn in classes"):
        assert words in told.plain
    written = json.loads((tmp_path / "told.json").read_text())
    assert sum(entry["pictures"] for entry in written["classes"]) == written["pictures"] == 12
    assert [len(entry["descriptions"]) for entry in written["classes"]] == [3, 3, 2]
    assert set(written["classes"][0]["descriptions"][0]) >= {"text", "lift", "relevance", "spread", "verdict", "same"}
    assert np.shape(written["similarity"]) == (3, 3)
    assert b"<svg" in (tmp_path / "classes.svg").read_bytes()
    found = library.inspect_knowledge(knowledge, features)
    assert found.to_json() == written


def test_a_run_serves_as_well_and_one_class_is_told_in_full(quick, finished, knowledge):
    told = quick("knowledge", "show", knowledge, "NEUTROPHIL", "--features", finished, "--limit", "0")
    for sentence in ("a dark nucleus split into several lobes", "pale pink cytoplasm", "fine pale granules"):
        assert sentence in told.plain
    assert "a pale centre" not in told.plain
    assert "Classes" not in told.plain


def test_long_lists_are_cut_and_say_so(quick, features, tmp_path):
    told = quick("knowledge", "show", "blood-cells", "--features", features, "--limit", "3")
    assert "7 more classes, with a smaller share to look at: --limit 0 prints all" in told.plain
    assert "classes are not judged: fewer than five pictures" in told.plain
    whole = quick("knowledge", "show", "blood-cells", "--features", features, "--limit", "0")
    assert "more classes" not in whole.plain
    assert whole.plain.count("verdict") == 10
    one = quick("knowledge", "show", "blood-cells", "platelet", "--features", features, "--limit", "5")
    assert "more between these" in one.plain


def test_classes_that_collapse_are_named(quick, features, knowledge, tmp_path):
    entries = json.loads(knowledge.read_text())["classes"]
    entries[2]["descriptions"] = entries[0]["descriptions"]
    path = moved(knowledge, tmp_path, classes=entries)
    assert quick("knowledge", "show", path, "--features", features).plain.count(": collapsed") == 2


def test_what_has_no_encoder_or_another_is_refused(quick, features, knowledge, tmp_path):
    show = ("knowledge", "show", knowledge, "--features")
    assert "is no finished feature folder" in quick(*show, tmp_path / "nowhere").error
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text('{"classes": ["a", "b"]}')
    assert "holds arrays and no encoder that could read sentences" in quick(*show, tmp_path / "bundle").error
    np.save(tmp_path / "rows.npy", np.eye(3, dtype=np.float32))
    assert "holds arrays and no encoder" in quick(*show, tmp_path / "rows.npy").error
    other = tmp_path / "other"
    shutil.copytree(features, other)
    index = json.loads((other / "index.json").read_text())
    (other / "index.json").write_text(json.dumps(index | {"encoder": "mini:0000000000000000"}))
    assert "was made with mini:0000000000000000, not with mini:" in quick(*show, other).error
    (other / "index.json").write_text(json.dumps(index | {"encoder": "lab-x:00", "encoder_name": "lab-x"}))
    assert "lab-x" in quick(*show, other).error


def test_knowledge_without_descriptions_is_refused(quick, features, knowledge, tmp_path):
    assert "class names and no descriptions" in quick("knowledge", "show", "food-101", "--features", features).error
    entries = json.loads(knowledge.read_text())["classes"]
    entries[1]["descriptions"] = []
    path = moved(knowledge, tmp_path, classes=entries)
    assert "no descriptions: write at least one" in quick("knowledge", "show", path, "--features", features).error


@pytest.mark.parametrize("option", [("--json", "a.json"), ("--figure", "a.svg"), ("--encoder", "mini")])
def test_options_that_need_features_say_so(quick, knowledge, option):
    assert "go with --features" in quick("knowledge", "show", knowledge, *option).error


def test_a_figure_of_no_kind_is_refused_before_the_work(quick, features, knowledge, tmp_path):
    told = quick("knowledge", "show", knowledge, "--features", features, "--figure", "a.gif")
    assert "a figure ends in .svg, .png, .pdf" in told.error
    assert not (tmp_path / "a.gif").exists()
