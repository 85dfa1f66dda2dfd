"""`kpl encoders` beside pulling: the list, what cannot be an encoder, adapters."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

from tests.encoders.test_adapters import PLAIN

from kpl.encoders import catalogue, suited


def test_the_list_is_searched_by_picture_and_part_of_the_body(quick):
    dermoscopy = quick("encoders", "list", "--for", "dermoscopy").plain
    assert dermoscopy.index("monet") < dermoscopy.index("biomedclip")
    assert "openai-clip" not in dermoscopy
    assert "echo-clip" in quick("encoders", "list", "--for", "heart").plain
    none = quick("encoders", "list", "--for", "sonnets").error
    assert "no encoder in the list was made for 'sonnets'; what they were made for: " in none
    assert "dermoscopy" in none
    assert "no encoder" in quick("encoders", "list", "--for", "OCT").error, "it has the letters of CT, and is none"
    computed = quick("encoders", "list", "--for", "CT").plain
    assert "pubmedclip" in computed
    assert "openai-clip" not in computed, "a word of two letters is no part of 'pictures'"


def test_every_word_that_the_list_shows_finds_what_shows_it():
    for name, entry in catalogue().items():
        for kind in (*entry.pictures, *entry.regions, *entry.modalities):
            assert kind == "any" or name in suited(kind), (name, kind)
    pathology = suited("histology")
    assert {"conch", "keep", "plip", "quiltnet"} <= set(pathology[:4])
    assert "echo-clip" not in suited("breast ultrasound")
    assert not {"openai-clip-b-32", "siglip2-base"} & set(suited("fundus photograph"))
    assert suited("photographs")[0] not in suited("dermatology"), "those for any photograph come before those of skin"


def test_a_damaged_encoder_does_not_hide_the_others(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "kpl"))
    (torn := tmp_path / "kpl" / "encoders" / "torn").mkdir(parents=True)
    (torn / "card.json").write_text("{", encoding="utf-8")
    listed = quick("encoders", "list").plain
    assert "here, but it cannot be used: " in listed
    assert "mini" in listed
    assert "mini" in quick("encoders", "list", "--for", "blood smear").plain


def test_the_list_says_what_was_verified_and_what_cannot_be_used(quick):
    whole = quick("encoders", "list").plain
    assert whole.count("verified") >= 28
    assert "no published weights were tried" in whole
    for name in ("CONCH 1.5", "TITAN", "PRISM", "CT-CLIP", "Merlin"):
        assert f"{name} cannot be used as an encoder. It" in whole
    assert "reads whole slides" in quick("encoders", "pull", "hf:mahmoodlab/titan").error
    for name in ("conch-1.5", "conchv1_5", "titan", "PRISM", "ct-clip", "merlin"):
        assert "cannot be used as an encoder. It" in quick("encoders", "pull", name).error


def test_the_commands_take_an_adapter(quick, tmp_path, cells, knowledge):
    (tmp_path / "mine.py").write_text(PLAIN, encoding="utf-8")
    classify = ("classify", cells, "--knowledge", knowledge, "--encoder", "mine.py:build", "-o", "run")
    assert "--trust-remote-code" in quick(*classify).error
    assert quick(*classify, "--trust-remote-code").code == 0
    assert "plain" in (tmp_path / "run" / "run.json").read_text(encoding="utf-8")
    assert "nothing to pull" in quick("encoders", "pull", "mine.py:build").error
    assert "kpl encoders check mine.py:build" in quick("encoders", "show", "mine.py:build").error


def test_the_commands_take_what_an_installed_package_offers(quick, kpl, tmp_path, cells, knowledge, monkeypatch):
    (tmp_path / "theirs.py").write_text(PLAIN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = {"of-theirs": "theirs:build", "broken": "theirs:broken"}
    points = [EntryPoint(name, value, "kpl.encoders") for name, value in named.items()]
    monkeypatch.setattr("kpl.encoders.registry.offered", lambda _group: points)
    listed = quick("encoders", "list").plain
    assert "offered by an installed package, at theirs:build" in listed
    assert "theirs:broken" in listed, "nothing of theirs is run for the list"
    assert quick("classify", cells, "--knowledge", knowledge, "--encoder", "of-theirs", "-o", "run").code == 0
    assert "'broken' of an installed package cannot be used" in quick("encoders", "show", "broken").error
    assert "nothing to pull" in quick("encoders", "pull", "of-theirs").error
    assert "install that on the other machine" in quick("encoders", "bundle", "of-theirs", "-o", "x.kplenc").error
    advised = quick("encoders", "advise", cells, "-k", knowledge, "--json", "a.json").plain
    assert "broken was not tried: encoder 'broken' of an installed package cannot be used" in advised
    tried = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["tried"]
    assert [one["name"] for one in tried if one["steady"] is not None] == ["mini", "of-theirs"]
    assert "of-theirs" in quick("encoders", "list", "--for", "blood smear").plain
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[kpl.encoders]\nof-theirs = theirs:build\n", encoding="utf-8")
    assert "Self-test: passed" in kpl("encoders", "check", "of-theirs", env={"PYTHONPATH": str(tmp_path)}).plain


def test_encoders_are_compared_without_labels(quick, tmp_path, cells, knowledge):
    (tmp_path / "mine.py").write_text(PLAIN, encoding="utf-8")
    advise = ("encoders", "advise", cells, "-k", knowledge)
    both = quick(
        *advise, "--encoder", "mini", "--encoder", "mine.py:build", "--trust-remote-code", "--json", "a.json"
    ).plain
    assert "none of these is accuracy" in both
    told = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    mini, made = told["tried"]
    assert told["pictures"] == 12
    assert mini["fits"]
    assert mini["spread"] > 0
    assert mini["alike"] == made["alike"]
    assert all(-1 <= one[name] <= 1 for one in (mini, made) for name in ("steady", "alike"))
    alone = quick(*advise, "--encoder", "mini", "--encoder", "biomedclip").plain
    assert "biomedclip was not tried" in alone
    assert "mini" in quick(*advise).plain


def test_an_encoder_that_gives_one_label_to_all_is_not_called_steady(quick, tmp_path, cells, knowledge):
    source = "import numpy as np\nfrom kpl.encoders import adapt\ndef build():\n"
    source += "    rows = lambda items: np.ones((len(items), 4))\n"
    source += "    card = {'context_length': 999, 'image_size': 32, 'files': []}\n"
    source += "    return adapt('flat', images=rows, texts=rows, count=len, **card)\n"
    (tmp_path / "flat.py").write_text(source, encoding="utf-8")
    advise = ("encoders", "advise", cells, "-k", knowledge, "--encoder", "flat.py:build", "--trust-remote-code")
    quick(*advise, "--json", "a.json")
    (flat,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["tried"]
    assert abs(flat["spread"]) < 1e-6
    assert flat["steady"] == 0.0
    assert "at least 8" in quick(*advise[:2], next(cells.rglob("*.png")), *advise[3:]).error
