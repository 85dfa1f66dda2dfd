"""Every rule finds what it is for and leaves the rest; what is silenced stays silent; what is mended reads back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kpl.errors import KnowledgeError
from kpl.knowledge import RULES, fix_knowledge, lint_knowledge, load_knowledge, pack_names
from kpl.knowledge.lint.encoded import EncoderRules
from kpl.knowledge.lint.sentences import cleaned

GOOD = ["a round outline", "one smooth curved edge", "the same width all around", "a flat pale face", "a thin rim"]
OTHER = ["four right corners", "four straight sides", "equal length and height", "a sharp border", "parallel edges"]


def write(tmp_path, first=GOOD, second=OTHER, suffix=".yaml", **top):
    path = tmp_path / f"shapes{suffix}"
    classes = [{"key": "disc", "descriptions": list(first)}, {"key": "box", "descriptions": list(second)}]
    task = {"name": "shapes", "modality": "toys"}
    by = {"author": "me", "reviewed_by": "you"}
    path.write_text(json.dumps({"kpl_knowledge": 2, "task": task, "provenance": by, **top, "classes": classes}))
    return path


def codes(path, *extra):
    return [finding.rule.code for finding in lint_knowledge(path, extra).findings]


def test_a_clean_file_has_nothing_to_tell(tmp_path):
    report = lint_knowledge(write(tmp_path))
    assert report.findings == []
    assert not report.failed


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        (".", "K101"),
        ("I'm sorry, I cannot describe it", "K102"),
        ("Unfortunately, I do not know which one is meant", "K102"),
        ("Here are some visual features", "K103"),
        ("some common features include:1.", "K103"),
        ("a disc is round and", "K104"),
        ("a width of about 0.", "K104"),
        ("a rim (thin and pale", "K104"),
        ("isThe disc is round", "K105"),
        (", with a pale rim", "K105"),
        ("a pale rim.The edge is thin", "K105"),
        ("round", "K106"),
        ("a <b>round</b> shape", "K107"),
        ("a pale &amp; thin line", "K107"),
        ("- a thick outline", "K107"),
        ("a thick\u200b\u202e border", "K107"),
        ("круглый контур без углов", "K108"),
        ("der Rand ist rund und mit der Mitte", "K108"),
        ("a round outline.", "K201"),
        ("one edge, smooth and curved", "K202"),
        ("four right corners", "K203"),
        ("a shape without corners", "K301"),
        ("shapes seen in patients with a fever", "K302"),
        ("a popular kind of toy", "K303"),
        ("a unique and recognizable appearance", "K304"),
        ("something like a box but round", "K305"),
    ],
)
def test_each_rule_finds_its_fault_and_only_that(tmp_path, sentence, code):
    assert codes(write(tmp_path, [*GOOD, sentence])) == [code]


MEDICAL = {
    "K302": [
        "shortness of breath and chest pain",
        "pain on palpation of the breast",
        "poor survival within five years",
        "responds well to antibiotics",
        "requires surgical resection",
        "biopsy confirms malignant cells",
        "joint stiffness in the morning",
        "caused by Mycobacterium tuberculosis",
        "may progress to fibrosis over months",
        "opacities associated with smoking",
        "a compressible mass",
        "median survival of fourteen months",
        "most common in women over sixty",
        "managed with watchful waiting",
    ],
    "K301": ["deprived of any vessels", "zero visible nodules", "stripped of its villi"],
    "K108": ["eine weisse Verschattung im Oberlappen", "une opacité blanche dans le lobe"],
    "K103": ["Absolutely! Below you will find them", "Let me describe it for you"],
    "K104": ["The lung shows a white. The heart is big. It also", "a cup that is also"],
    "K105": ["white shadow in upper lobe white shadow in upper lobe"],
}


@pytest.mark.parametrize(("code", "sentence"), [(code, text) for code, texts in MEDICAL.items() for text in texts])
def test_faults_of_medical_sentences(tmp_path, code, sentence):
    assert code in codes(write(tmp_path, [*GOOD, sentence]))


@pytest.mark.parametrize(
    "sentence",
    [
        "a surgical clip over the mediastinum",
        "granules spread to the rim",
        "healthy pink mucosa with fine vessels",
        "biopsy forceps enter from below",
        "chronic inflammatory cells between the crypts",
        "the left one is wide. The right one is thin",
        "round COVID-19.",
        "thin and wide, thin and wide lines",
        "a bright van door",
    ],
)
def test_medical_sentences_without_a_fault(tmp_path, sentence):
    assert codes(write(tmp_path, [*GOOD, sentence])) == []


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("a device that projects images or videos onto a surface", "K303"),
        ("a traditional garment worn by women in many Middle Eastern countries", "K303"),
        ("typically used to store and organize sheets of paper", "K303"),
        ("a large vessel designed specifically for fighting fires", "K303"),
        ("a large wild animal native to the mountains", "K303"),
        ("a sleek and powerful appearance", "K304"),
        ("a medium-sized primate with a distinctive and unique appearance", "K304"),
        ("a traditional garment with embroidered sleeves", None),
        ("a vessel used for tea, with a long curved spout", None),
        ("a distinctive black and white appearance", None),
        ("native to the mountains, with thick grey fur", None),
    ],
)
def test_size_use_and_praise_are_not_seen(tmp_path, sentence, code):
    assert codes(write(tmp_path, [*GOOD, sentence])) == ([code] if code else [])


def test_other_classes_are_found_by_short_names_in_capitals_and_by_adjectives(tmp_path):
    path = write(tmp_path)
    data = json.loads(path.read_text())
    data["classes"][1] |= {"key": "tuberculosis", "aliases": ["TB", "IN"]}

    def found(sentence):
        data["classes"][0]["descriptions"] = [*GOOD, sentence]
        path.write_text(json.dumps(data))
        return codes(path)

    assert found("rounder than in TB") == ["K305"]
    assert found("a tuberculous rim") == ["K305"]
    assert found("thin in the middle, tb") == []


@pytest.mark.parametrize("kind", ["descriptions", "absent"])
@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("I'm sorry, I cannot describe it", "K102"),
        ("Here are some visual features", "K103"),
        ("a <b>round</b> shape", "K107"),
        ("der Rand ist rund und mit der Mitte", "K108"),
        ("shapes seen in patients with a fever", "K302"),
        (" ".join(["pale"] * 240), "K501"),
    ],
)
def test_absent_sentences_are_judged_as_descriptions_are(tmp_path, kind, sentence, code):
    rules, _ = encoder_rules(context_length=30, unknown_words=lambda _: [])
    path = write(tmp_path)
    data = json.loads(path.read_text())
    data["classes"][0]["absent"] = [f"{text} elsewhere" for text in GOOD]
    data["classes"][0][kind][2] = sentence
    path.write_text(json.dumps(data))
    found = [f for f in lint_knowledge(path, [rules]).findings if f.rule.code == code]
    assert [(f.class_key, f.description, f.kind) for f in found] == [("disc", 3, kind.removesuffix("s"))]
    assert f"class 'disc', {kind.removesuffix('s')} 3: " in str(found[0])


def test_absent_sentences_may_deny_name_another_class_and_be_shared(tmp_path):
    path = write(tmp_path)
    data = json.loads(path.read_text())
    data["classes"][0]["absent"] = ["no disc, but a box"]
    data["classes"][1]["absent"] = ["no disc, but a box"]
    path.write_text(json.dumps(data))
    assert codes(path) == []


def test_an_ignore_at_a_description_does_not_silence_its_absent_sentence(tmp_path):
    path = write(tmp_path)
    data = json.loads(path.read_text())
    texts = data["classes"][0]["descriptions"]
    texts[0] = {"text": "a rim with a fever", "ignore": [{"rule": "K302", "reason": "x"}]}
    data["classes"][0]["absent"] = ["a rim with a cough", *GOOD[1:]]
    path.write_text(json.dumps(data))
    report = lint_knowledge(path)
    assert [(f.kind, f.rule.code) for f in report.findings] == [("absent", "K302")]
    assert [(f.kind, f.rule.code) for f in report.silenced] == [("description", "K302")]


def test_fixes_leave_absent_sentences(tmp_path):
    path = write(tmp_path)
    data = json.loads(path.read_text())
    data["classes"][0]["absent"] = ["I'm sorry, I cannot describe it", "a <b>thin</b> line", *GOOD[2:]]
    path.write_text(json.dumps(data))
    assert fix_knowledge(path) == {}
    assert json.loads(path.read_text()) == data


MEANT = [
    "nodules <a few mm wide and others > 2 cm",
    "wider than <i and j> together",
    ".5 mm wide",
    "fewer than 5 <b and more",
]


@pytest.mark.parametrize("sentence", MEANT)
def test_what_only_looks_like_markup_stays(sentence):
    assert cleaned(sentence) == sentence


@pytest.mark.parametrize(
    "marked",
    [
        "\x1b[31mred round disc",
        "\x1b[1;31mred\x1b[0m round disc",
        "\x1b]8;;http://x\x07red round disc\x1b]8;;\x07",
        "<p class='x'>red <B>round</B> disc<br/></p>",
        "red&nbsp;round disc",
        "**red** round `disc`",
        "- red round disc",
    ],
)
def test_markup_is_taken_out_whole_and_once_is_enough(marked):
    assert cleaned(marked) == "red round disc" == cleaned(cleaned(marked))


@pytest.mark.parametrize("sentence", ["not only round but pale", "blue-black granules", "a 3 mm wide rim", "U-shaped"])
def test_what_looks_like_a_fault_and_is_none(tmp_path, sentence):
    found = codes(write(tmp_path, [*GOOD, sentence]))
    assert [code for code in found if code != "K106"] == []


def test_languages_without_spaces_are_no_fragments(tmp_path):
    path = write(
        tmp_path,
        ["圆形的外轮廓", "光滑的弧形边缘", "白色的表面", "细细的边框", "各处宽度相同"],
        ["四个直角角落", "四条直线边", "边长完全相等", "清晰的边界", "平行的两边"],
    )
    assert codes(path) == []


def test_findings_say_where_and_what(tmp_path):
    finding = lint_knowledge(write(tmp_path, [*GOOD, "a shape without corners"])).findings[0]
    assert (finding.class_key, finding.description, finding.text) == ("disc", 6, "a shape without corners")
    assert str(finding) == "line 1: K301 warning: class 'disc', description 6: says 'without': say what is there"


@pytest.mark.parametrize("level", ["file", "class", "sentence"])
def test_a_rule_is_set_aside_with_a_reason_at_every_level(tmp_path, level):
    path = write(tmp_path, [*GOOD, "a shape without corners"])
    data = json.loads(path.read_text())
    holder = {"file": data, "class": data["classes"][0], "sentence": {"text": data["classes"][0]["descriptions"].pop()}}
    holder[level]["ignore"] = [{"rule": "K301", "reason": "the other class has them"}]
    if level == "sentence":
        data["classes"][0]["descriptions"].append(holder["sentence"])
    else:
        data["classes"][0]["descriptions"].append(holder["sentence"]["text"])
    path.write_text(json.dumps(data))
    report = lint_knowledge(path)
    assert report.findings == []
    assert [finding.rule.code for finding in report.silenced] == ["K301"]


def test_an_ignore_without_effect_or_rule_is_found(tmp_path):
    path = write(tmp_path, ignore=[{"rule": "K301", "reason": "x"}, {"rule": "K999", "reason": "x"}])
    assert [finding.message for finding in lint_knowledge(path).findings] == [
        "the ignore of K301 silences nothing: remove it",
        "the ignore of K999 is no rule of lint: see 'kpl knowledge rules'",
    ]
    path = write(tmp_path, ignore=[{"rule": "no negations"}])
    with pytest.raises(KnowledgeError, match="ignore"):
        lint_knowledge(path)


def test_contrastive_sentences_that_declare_it_may_deny_and_name_the_other(tmp_path):
    sentence = {"text": "no corners, which tells it from a box", "against": "box"}
    assert codes(write(tmp_path, [*GOOD, sentence])) == []


def test_counts_provenance_and_template(tmp_path):
    path = write(tmp_path, [f"A round shape number {word}." for word in "abcd"], provenance={"author": None})
    found = codes(path)
    assert {"K401", "K403", "K404"} <= set(found)
    assert codes(write(tmp_path, GOOD[:2], [*OTHER, "a grey fill"])) == ["K401"]
    many = [
        f"a {word} line"
        for word in ["red", "blue", "green", "pale", "dark", "thin", "wide", "long", "short", "grey", "black"]
    ]
    assert "K402" in codes(write(tmp_path, [*GOOD, *many], OTHER))
    whole = [f"It has {text}." for text in GOOD]
    assert "K405" in codes(write(tmp_path, whole, [f"It has {text}." for text in OTHER]))


@pytest.mark.parametrize("name", pack_names())
def test_shipped_packs_have_notices_only(name):
    assert not lint_knowledge(name).failed


def encoder_rules(**changes):
    def encode(sentences):
        rows = [[len(s) if "pale" not in s else 50.0, 1.0] for s in sentences]
        return (np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    facts = {
        "name": "tiny",
        "context_length": 20,
        "modalities": ["toys"],
        "count_tokens": lambda s: len(s.split()) + 2,
        "unknown_words": lambda s: [w for w in s.split() if w == "rim"],
    }
    return EncoderRules(**facts | changes), encode


def test_an_encoder_adds_tokens_words_and_modality(tmp_path):
    rules, _ = encoder_rules()
    assert codes(write(tmp_path), rules) == ["K502"]
    rules, _ = encoder_rules(context_length=13, modalities=["blood smear"])
    found = lint_knowledge(write(tmp_path), [rules]).findings
    assert [finding.rule.code for finding in found].count("K503") == 1
    long = [finding.text for finding in found if finding.rule.code == "K501"]
    assert long == ["the same width all around"]


def test_an_encoder_finds_repeats_by_features(tmp_path):
    rules, encode = encoder_rules()
    rules = EncoderRules(**{**vars(rules), "encode_texts": encode, "alike": 0.99999})
    found = lint_knowledge(write(tmp_path, [*GOOD, "pale throughout"]), [rules]).findings
    assert "description 4" in next(f.message for f in found if f.rule.code == "K202" and f.description == 6)


YAML = """\
# mine
kpl_knowledge: 1
task: {name: x, modality: toys}
provenance: {author: me, reviewed_by: you}
classes:
  - key: disc   # the round one
    descriptions:
      - a round outline
      - I'm sorry, I cannot describe it
      # about the next
      - ", with a pale rim"   # glued
      - A round outline.
      - text: "a <b>thin</b> border"
        provenance: {author: you}
      - "!"
  - key: box
    descriptions:
      - "."
      - Here are some features
"""


def test_fixes_are_safe_and_keep_comments(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(YAML)
    assert fix_knowledge(path) == {"K101": 2, "K102": 1, "K105": 1, "K107": 1, "K201": 1}
    base = load_knowledge(path)
    assert [d.text for d in base.classes[0].descriptions] == ["a round outline", "with a pale rim", "a thin border"]
    assert [d.text for d in base.classes[1].descriptions] == ["Here are some features"]
    text = path.read_text()
    assert all(comment in text for comment in ("# mine", "# the round one", "# about the next", "# glued"))
    before = text
    assert fix_knowledge(path) == {}
    assert path.read_text() == before
    with pytest.raises(KnowledgeError, match="is a pack: copy it"):
        fix_knowledge("blood-cells")


def test_a_plain_file_is_linted_as_it_is(tmp_path):
    path = tmp_path / "plain.json"
    path.write_text(json.dumps({"disc": ["A disc is round.", ".", "A disc is round."], "box": ["A box has corners."]}))
    found = set(codes(path))
    assert {"K101", "K201", "K401", "K403", "K405", "K407"} <= found
    with pytest.raises(KnowledgeError, match="plain file"):
        fix_knowledge(path)


def test_every_rule_is_documented():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "linting.md").read_text(encoding="utf-8")
    assert all(f"`{code}` {rule.name}" in page and rule.why in page for code, rule in RULES.items())
