"""The report: whole, honest, the same every time, and nothing in it that a user's text could turn into a page."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from jinja2 import Environment, PackageLoader
from tests.report.conftest import CLASSES, HOSTILE

import kpl.report
from kpl.errors import FeaturesError, InputError, LabelsError, OutputError
from kpl.evaluation import METRICS, Reading
from kpl.report import explain_picture, write_report
from kpl.report.inlining import LIGHT
from kpl.report.marks import MARKED, mark
from kpl.report.scores import score
from kpl.report.single_label import SingleLabelStory
from kpl.runs import classify, classify_multi_label, evaluate, open_run, thumbnails
from kpl.runs.thumbnails import kept_rows, read_thumbnails, shown_rows

VOID = {"meta", "link", "img", "br", "input"}
ALLOWED = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "footer",
        "nav",
        "section",
        "h1",
        "h2",
        "h3",
        "h4",
    ),
    *("script", "label", "input", "select", "option", "button"),
    *("p", "a", "ul", "li", "dl", "dt", "dd", "div", "span", "strong", "em", "small", "code", "br", "figure"),
    *("figcaption", "details", "summary", "img", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "defs", "image", "use", "desc", "g", "rect", "circle", "polygon", "path", "text"),
}


class Page(HTMLParser):
    """A page taken apart: its tags with their attributes, its text, and whether everything is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open:
            self.text += data

    def count(self, tag: str) -> int:
        return Counter(name for name, _ in self.tags)[tag]


def read(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == [], "a tag is left open"
    return page


@pytest.fixture(scope="module")
def scored(run: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    copy = tmp_path_factory.mktemp("scored") / "run"
    shutil.copytree(run, copy)
    return read(write_report(copy, labels=labels, by=["site"], methods=("text", "kpl"), replicates=50))


def test_it_tells_the_story_in_order(run):
    page = read(write_report(run))
    parts = ["What came out", "The pictures, class by class", "text and kpl disagree", "The map"]
    places = [page.text.rindex(part) for part in [*parts, "The knowledge in use", "What was run on what"]]
    assert places == sorted(places)
    for said in (
        "Intended use",
        "Licence",
        "version 7",
        "0 of 8",
        "estimated prior",
        "Set aside",
        "Not a medical device",
    ):
        assert said in page.text
    assert "not a JPEG" in page.text
    assert "1 file has no prediction" in page.text
    assert "Against the labels" not in page.text


def test_labels_come_last_in_the_story_and_in_its_table_of_contents(scored):
    parts = ["The knowledge in use", "Against the labels", "What was run on what"]
    assert (places := [scored.text.rindex(part) for part in parts]) == sorted(places)
    links = [a["href"] for tag, a in scored.tags if tag == "a" and a.get("class") not in ("skip", "look")]
    sections = [f"#{a['aria-labelledby']}" for tag, a in scored.tags if tag == "section"]
    assert links == sections


def test_the_verdict_comes_first_and_settings_are_folded_at_the_end(run, scored):
    source = write_report(run).read_text(encoding="utf-8")
    table = source.index("how it was chosen")
    assert source.count("<details", 0, table) == source.count("</details>", 0, table) + 1
    assert source.index('id="run"') > source.index('id="knowledge"')
    page = read(write_report(run))
    assert "that is no proof" in page.text or "Look before you believe it" in page.text
    assert page.text.index("Look first at") < page.text.index("estimated prior")
    assert "Measured against labels: accuracy" in scored.text


def test_every_class_and_description_is_in_it(run):
    text = read(write_report(run)).text
    for key, sentences in CLASSES.items():
        assert f"{key} {HOSTILE}" in text
        assert all(sentence in text for sentence in sentences)


def test_text_from_users_stays_text(run, scored):
    for page in (read(write_report(run)), scored):
        assert {tag for tag, _ in page.tags} <= ALLOWED
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on")]
            assert tag != "img" or (attributes["src"] or "").startswith("data:image/webp;base64,")
            assert tag not in ("a", "use") or (attributes["href"] or "").startswith("#")
            assert tag != "image" or (attributes["href"] or "").startswith("data:image/webp;base64,")
        assert HOSTILE in page.text, "the names are shown as they are"
        assert "49}}" not in page.text, "no text is a template"


def test_it_needs_nothing_from_outside(run):
    source = write_report(run).read_text(encoding="utf-8")
    unescaped = source.replace("&lt;", "")
    assert unescaped.count("<script") == unescaped.count("</script") == 2
    assert "script-src 'sha256-" in source
    assert "http" not in source.replace("http-equiv", "")
    assert "url(" not in source
    assert "default-src 'none'" in source


def test_it_holds_no_path_and_no_time(run, pictures):
    source = write_report(run).read_text(encoding="utf-8")
    for place in (run, pictures, Path.home()):
        assert str(place) not in source
    assert not re.search(r"20\d\d-\d\d-\d\d", source)


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    assert write_report(run).read_bytes() == write_report(tmp_path / "copy").read_bytes()


def test_it_can_be_read_without_eyes(run, scored):
    for page in (read(write_report(run)), scored):
        assert all(page.count(landmark) == 1 for landmark in ("header", "main", "footer", "nav", "h1"))
        assert [a.get("lang") for tag, a in page.tags if tag == "html"] == ["en"]
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids))
        for tag, attributes in page.tags:
            assert tag != "img" or attributes["alt"]
            assert tag != "th" or attributes["scope"] in ("row", "col")
            if tag == "svg":
                assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
            if tag in ("a", "use"):
                assert (attributes["href"] or "")[1:] in ids


def test_every_picture_opens_its_evidence(run):
    page = read(write_report(run))
    assert page.count("image") == 18
    assert page.text.count("share of the text margin") >= 18
    assert "KPL margin lost without it" in page.text


def test_a_picture_is_in_the_file_once_however_often_it_is_seen(run):
    page = read(write_report(run))
    data = [a["href"] for tag, a in page.tags if tag == "image"]
    assert len(set(data)) == len(data) == 18
    seen = open_run(run)
    said = seen.predictions
    near = sum(len(seen.nearest(row, c)) for row in range(18) for c in {int(said.winners[row]), int(said.runners[row])})
    assert page.count("use") >= 18 + near, "the neighbours are seen too, not only named"


def test_shares_of_the_evidence_sum_to_the_margin(run):
    seen = open_run(run)
    for row in range(seen.n):
        margin = seen.images[row] @ (
            seen.text_proxies[seen.predictions.winners[row]] - seen.text_proxies[seen.predictions.runners[row]]
        )
        assert sum(s.text_share for s in seen.sentences(row)) == pytest.approx(float(margin), abs=1e-6)


def test_labels_add_all_that_they_can_say(scored):
    for said in ("Methods side by side", "Confusion matrix", "ROC", "Reliability", "Coverage and risk", "By site"):
        assert said in scored.text
    assert "site 1" in scored.text
    assert "✓ right" in scored.text
    assert scored.text.count("✗") == scored.text.count("✗ label: ")


def test_every_figure_that_has_an_interval_shows_it(run, labels, scored):
    table = evaluate(run, labels=labels, methods=("text", "kpl"), by=["site"], replicates=50).table
    rows = [*table.scores.values(), table.majority]
    pairs = [row.intervals.get(metric) for row in rows for metric in METRICS]
    pairs += [pair for entry in table.details["kpl"].classes.values() for pair in entry.intervals.values()]
    assert sum(pair is not None for pair in pairs) >= 40
    for pair in filter(None, pairs):
        assert f"{pair[0]:.3f} to\xa0{pair[1]:.3f}" in scored.text
    assert "50 resamples over 18 images." in scored.text


def test_it_says_which_groups_were_resampled(run, labels, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    head, *lines = labels.read_text(encoding="utf-8").splitlines()
    lines = [f"{line},p{number % 5}" for number, line in enumerate(lines)]
    (tmp_path / "labels.csv").write_text("\n".join([f"{head},Patient", *lines]), encoding="utf-8")
    page = read(write_report(tmp_path / "run", labels=tmp_path / "labels.csv", methods=("text",), replicates=50))
    assert "50 resamples over 5 patients by 'Patient'," in page.text


def test_classes_go_by_their_names_and_keys_stand_beside_them_where_knowledge_is_edited(run, scored):
    labels = scored.text[scored.text.rindex("Against the labels") :]
    page = write_report(run).read_text(encoding="utf-8")
    for key in CLASSES:
        assert labels.count(key) == labels.count(f"{key} {HOSTILE[:3]}") > 2
        assert f"<code>{key}</code>" in page


def test_a_wall_says_where_the_surest_end_and_the_least_sure_begin(run, tmp_path, monkeypatch):
    assert "The least sure" not in read(write_report(run)).text, "all are shown, none lies between"
    monkeypatch.setattr(thumbnails, "_A_SIDE", 1)
    shutil.copytree(run, tmp_path / "run")
    page = read(write_report(tmp_path / "run"))
    cut = sum(np.bincount(open_run(run).predictions.winners) > 2)
    assert cut
    assert page.text.count("The surest\n") == page.text.count("The least sure\n") == cut


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0.0"), (4e-4, "< 0.1"), (6e-4, "0.1"), (0.5, "50.0"), (0.9994, "99.9"), (0.9996, "> 99.9"), (1, "100.0")],
)
def test_nearly_all_is_not_all_and_hardly_any_is_not_none(value, told):
    rooms = Environment(loader=PackageLoader("kpl.report"), autoescape=True)
    shown = rooms.from_string("{% import 'parts.html' as p %}{{ p.percent(v) }}|{{ p.chance(v) }}").render(v=value)
    percent, chance = shown.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").split("|")
    assert percent == f"{told} %"
    assert chance == {0: "< 0.1 %", 1: "> 99.9 %"}.get(value, percent), "no probability is 0 or 1"


def test_labels_that_do_not_fit_are_refused_and_the_report_stays(run, tmp_path):
    before = write_report(run).read_bytes()
    (tmp_path / "labels.csv").write_text("image,label\nother.png,platelet\n")
    with pytest.raises(LabelsError, match="none of the 1 labels"):
        write_report(run, labels=tmp_path / "labels.csv")
    assert (run / "report.html").read_bytes() == before


def test_a_run_of_features_says_that_it_has_no_pictures(bare_run):
    page = read(write_report(bare_run))
    assert page.count("image") == 0
    assert not [a for tag, a in page.tags if tag == "svg" and a.get("class") == "picture"]
    assert "was given features, not pictures" in page.text
    assert "share of the text margin" in page.text


def test_pictures_can_be_put_in_later_if_they_are_the_same(bare_run, pictures, tmp_path):
    folder = tmp_path / "scans"
    shutil.copytree(pictures, folder)
    shutil.copyfile(folder / "cell-01.png", folder / "cell-02.png")
    (folder / "cell-03.png").unlink()
    page = read(write_report(bare_run, pictures=folder))
    assert page.count("image") == 16
    told = [a.get("aria-label") or "" for tag, a in page.tags if tag == "svg" and a.get("class") == "picture"]
    shown = {label.partition(":")[0] for label in told if label}
    assert len(shown) == 16
    assert not shown & {"cell-02.png", "cell-03.png"}
    assert "not there any more" in page.text


def test_a_method_of_names_has_no_sentences(pictures, knowledge, tmp_path):
    classify(pictures, knowledge=knowledge, out=tmp_path / "run", method="names")
    page = read(write_report(tmp_path / "run"))
    assert "This method reads no descriptions" in page.text
    assert "share of the text margin" not in page.text.replace("exact share of the text margin", "")


def test_pictures_without_a_label_are_marked(pictures, knowledge, tmp_path):
    classify(pictures, knowledge=knowledge, out=tmp_path / "run", method="text", settings={"k": 2}, coverage=0.5)
    text = read(write_report(tmp_path / "run")).text
    assert "no label given" in text
    assert "were left without a label" in text
    assert "set for this run" in text


def test_what_is_no_run_or_another_kind_of_run_is_refused(run, pictures, knowledge, tmp_path):
    with pytest.raises(FeaturesError, match="no finished run"):
        write_report(pictures)
    classify_multi_label(pictures, knowledge=knowledge, out=tmp_path / "many")
    with pytest.raises(FeaturesError, match="multi-label run"):
        explain_picture(tmp_path / "many", "cell-04.png")
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy" / "report.html").unlink(missing_ok=True)
    (tmp_path / "copy" / "report.html").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "copy")
    (tmp_path / "copy" / "thumbnails.safetensors").write_bytes(b"torn")
    with pytest.raises(FeaturesError, match="damaged"):
        write_report(tmp_path / "copy")


def test_thumbnails_are_small_and_of_the_right_rows(run):
    found = read_thumbnails(run)
    assert sorted(found) == [(row, "") for row in range(18)]
    assert all(data[8:12] == b"WEBP" and len(data) < 8000 for data in found.values())


@pytest.mark.parametrize("n_classes", [1, 3, 1000])
def test_what_is_shown_is_bounded_however_large_the_run(n_classes):
    rng = np.random.default_rng(n_classes)
    winners, text = rng.integers(n_classes, size=(2, 5000))
    confidence = rng.random(5000)
    chosen = shown_rows(winners, confidence, n_classes)
    assert sum(map(len, chosen)) <= max(480, 2 * n_classes)
    for c, rows in enumerate(chosen):
        assert (winners[rows] == c).all()
        assert (np.diff(confidence[rows]) <= 0).all()
    kept = kept_rows(winners, text, confidence, n_classes)
    assert {kept[row] for row in np.concatenate(chosen).tolist()} == {320}, "large where they are enlarged"
    assert sorted(kept) == list(range(5000)), "every picture is kept, the others small"
    assert {side for row, side in kept.items() if row not in {*np.concatenate(chosen).tolist()}} <= {64, 320}
    many = kept_rows(*np.zeros((2, 20_000), np.intp), np.arange(20_000.0)[::-1], 1)
    assert min(row for row, side in many.items() if side == 64) == 10_000, "of a very large run the least sure"


def test_pictures_beyond_those_of_the_walls_lie_once_with_the_data(run, tmp_path, monkeypatch):
    monkeypatch.setattr(thumbnails, "_A_SIDE", 1)
    monkeypatch.setattr("kpl.report.gallery._PAGE", 2)
    shutil.copytree(run, tmp_path / "run")
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    told = json.loads(re.search(r'id="all-data">(.*?)</script>', page)[1])
    kept = [row[4] for row in told["rows"]]
    small = {base64.b64encode(data).decode() for data in read_thumbnails(run).values()}
    assert all(each in small or f'<image id="{each}"' in page for each in kept)
    assert 0 < sum(each in small for each in kept) < 18
    assert all(page.count(data) == 1 for data in small)


def test_no_two_classes_share_a_mark():
    marks = [str(mark(c)) for c in range(MARKED)]
    assert len(set(marks)) == MARKED
    assert mark(MARKED) == mark(MARKED + 5)


@pytest.fixture
def sure(pictures, knowledge, tmp_path):
    """A run so sure of every picture that each confidence rounds to one."""
    classify(pictures, knowledge=knowledge, out=tmp_path / "run", method="text", settings={"temperature": 1e-5})
    return tmp_path / "run"


def test_the_surest_are_first_where_every_confidence_rounds_to_one(sure):
    seen = open_run(sure)
    assert (seen.predictions.confidence > 1 - 1e-6).all()
    cosines = seen.images.astype(np.float64) @ seen.text_proxies.T
    two = np.sort(cosines, axis=1)[:, -2:]
    margins = two[:, 1] - two[:, 0]
    walls = SingleLabelStory(seen).tell()["walls"]
    shown = {
        wall["name"]: [tile["id"] for tile in (tile for _, tiles in wall["ends"] for tile in tiles)] for wall in walls
    }
    for c, rows in enumerate(np.flatnonzero(seen.predictions.winners == c) for c in range(3)):
        wanted = [seen.ids[row] for row in rows[np.argsort(-margins[rows])].tolist()]
        assert shown.get(seen.class_names[c], []) == wanted
    assert any(ids != sorted(ids) for ids in shown.values())
    (sure / "scores.npy").unlink()
    told = SingleLabelStory(open_run(sure)).tell()
    assert any("rounded to six decimals only" in warning for warning in told["warnings"])


def test_the_labels_score_exact_confidences(sure, labels):
    told = score(open_run(sure), labels, replicates=0, methods=["text"], ordered=True).context
    _, metrics, rows = told["methods"][0]
    assert "kappa, quadratic" in metrics
    assert [name for name, _, _ in rows] == ["text", "majority", "chance"]
    assert re.search(r"answering the surest 50% \d", str(told["figures"][2][0])), (
        "a point a picture, so the half is a half"
    )
    (sure / "scores.npy").unlink()
    told = score(open_run(sure), labels, replicates=0, methods="all").context
    assert re.search(r"answering the surest 100% \d", str(told["figures"][2][0])), (
        "what is equally sure is answered together"
    )
    assert {"text", "kpl", "otter"} <= {name for name, _, _ in told["methods"][0][2]}


def test_figures_are_drawn_in_the_colours_that_the_page_begins_with():
    style = (Path(kpl.report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    found = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", style[: style.index("@media")]))
    light = {name: f"#{''.join(2 * digit for digit in c[1:])}" if len(c) == 4 else c for name, c in found.items()}
    assert {name: light[name] for name in LIGHT} == LIGHT


@pytest.mark.parametrize(
    "idle", [{"encoder": "mini"}, {"ignore_unknown": True}, {"reading": Reading(none="none")}, {"methods": ["cupl"]}]
)
def test_what_would_do_nothing_without_labels_is_refused(run, idle):
    with pytest.raises(InputError, match="--labels too"):
        write_report(run, **idle)
