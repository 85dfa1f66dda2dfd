"""Results as a notebook shows them."""

from __future__ import annotations

from tests.report.conftest import HOSTILE
from tests.report.test_report import ALLOWED, Page

from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.report import explain_picture
from kpl.runs import classify, evaluate, open_run


def shown(result) -> Page:
    page = Page(result._repr_html_())
    assert page.open == []
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    return page


def test_a_run_shows_its_classes_with_pictures(pictures, knowledge, tmp_path):
    result = classify(pictures, knowledge=knowledge, out=tmp_path / "run")
    page = shown(result)
    assert "18 pictures by kpl with mini" in page.text
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert 3 <= len(images) <= 18
    assert all(image["src"].startswith("data:image/webp;base64,") and image["alt"] for image in images)
    assert {image["style"] for image in images} == {"height:56px"}, "a notebook's own style beats the attribute"
    assert any(HOSTILE in image["alt"] for image in images)
    fresh = open_run(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    assert shown(fresh).count("img") == 0, "the run is elsewhere: its counts are still known"


def test_a_run_of_features_shows_its_classes(run, knowledge, tmp_path):
    result = classify(run / "features", knowledge=knowledge, out=tmp_path / "run")
    assert shown(result).count("img") == 0
    (tmp_path / "run" / "thumbnails.safetensors").write_bytes(b"torn")
    assert shown(result).count("img") == 0


def test_a_multi_label_run_shows_the_surest_pictures_of_each_class(several):
    page = shown(several)
    assert "18 pictures, several labels each, with mini" in page.text
    assert f"{several.empty} pictures have none of these classes" in page.text
    shares = [f"{count / 18:.1%}" for count in several.counts.values()]
    assert all(share in page.text for share in shares), "of all pictures, so that they need not sum to one"
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == sum(min(count, 6) for count in several.counts.values()) > 0


def test_an_evaluation_shows_its_table_and_gives_a_figure(run, labels):
    result = evaluate(run, labels=labels, methods=("text", "kpl"), replicates=20)
    page = shown(result)
    assert all(name in page.text for name in ("text", "kpl", "majority", "chance", "balanced accuracy"))
    figure = result.figure()
    assert len(figure.axes) == 4
    png, size = figure._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert size == {"width": 840, "height": 640}


def test_the_evidence_of_a_picture_is_a_short_table(run, pictures):
    name = next(path.name for path in sorted(pictures.iterdir()) if HOSTILE in path.name and "bad" not in path.name)
    found = explain_picture(run, name, top=1)
    page = shown(found)
    assert HOSTILE in page.text, "escaped, so that it is read and not obeyed"
    [picture] = [attributes for tag, attributes in page.tags if tag == "img"]
    assert HOSTILE in picture["alt"]
    assert found.picture == open_run(run).thumbnails[open_run(run).row_of(name)]
    assert page.count("tr") == 1 + min(len(found.sentences), 6)
    assert f"{found.sentences[0].without.effect:+.4f}" in page.text
    plain = explain_picture(run, name, top=0)
    assert "effect" not in shown(plain).text
    assert f"{found.text_margin:+.4f}" in page.text
    assert f"Nearest called {found.nearest[0][0]}" in page.text


def test_a_knowledge_base_shows_its_classes(knowledge):
    base = load_knowledge(knowledge)
    page = shown(base)
    assert f"{len(base.classes)} classes" in page.text
    assert all(entry.name in page.text for entry in base.classes)
    assert base.classes[0].descriptions[0].text in page.text
    assert page.count("tr") == 1 + len(base.classes)
    many = [{"key": str(n), "descriptions": [HOSTILE]} for n in range(70)]
    page = shown(KnowledgeBase.model_validate({"kpl_knowledge": 1, "task": {"name": HOSTILE}, "classes": many}))
    assert "10 more classes" in page.text
