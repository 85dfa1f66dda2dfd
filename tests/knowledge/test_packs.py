"""The shipped packs: whole, balanced, visible, positive, each sentence once, and found by the names of their data."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from kpl.errors import KnowledgeError
from kpl.images import read_window
from kpl.knowledge import KnowledgeBase, check_tokens, lint_knowledge, load_knowledge, pack_names, read_pack_head
from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.packs import read_pack
from kpl.knowledge.schema_file import published_schema

MEDICAL = {
    "blood-cells": 10,
    "brain-mri": 4,
    "breast-ultrasound": 3,
    "cataract-fundus": 4,
    "chest-covid": 4,
    "chest-pneumonia": 2,
    "chest-tuberculosis": 2,
    "colorectal-histology": 8,
    "diabetic-retinopathy": 5,
    "gastrointestinal-endoscopy": 8,
    "kidney-ct": 4,
    "knee-osteoarthritis": 5,
    "lung-colon-histology": 5,
    "malaria-cells": 2,
    "retina-diseases": 4,
    "retinal-oct": 4,
    "skin-lesions": 7,
}
NAMES_ONLY = {"cub-200": 200, "food-101": 101, "imagenet-1k": 1000, "places365": 365}
DESCRIBED = [*MEDICAL, "oxford-pets"]

NEGATION = re.compile(
    r"\b(no|not|none|never|neither|nor|without|lack(s|ing)?|absen(t|ce)|hardly|scarcely|devoid|missing"
    r"|free (of|from)|cannot|nothing|fails?|\w+-free|\w+n't|rather than|instead of|excludes?)\b"
)
UNSEEN = re.compile(
    r"\b(symptoms?|patients?|pains?|painful|cough\w*|fever|prognos\w*|treat\w*|therap\w*|years?|aged?|elderly|child\w*"
    r"|risks?|caus\w+|due to|diagnos\w*|suggest\w*|indicat\w*|infections?|histor\w*|surviv\w*|mortal\w*|percent\w*"
    r"|rarely|commonly|typical\w*|often|usually|frequent\w*|consistent with|sign of|characteristic\w*)\b"
)
# Touch and handling, motion and a second picture, equipment and writing in the picture, a scale, who was pictured.
NOT_IN_ONE_PICTURE = re.compile(
    r"\b(compressible|friable|fragile|rigid|stiff|firm\w*|gritty|greasy|tender"
    r"|swinging|contracting|pulsat\w+|moving|focus shifts|before and after|phase|later"
    r"|breathing tube|wires|catheters?|pacemakers?|electrodes?|clips?|snares?|needles?|portable|bedside"
    r"|markers?|labels?|captions?|text|logos?"
    r"|(milli|centi|micro)metres?|male|female|man|woman|breast|infants?|thymus)\b"
)
NOT_IN_THIS_KIND = {
    "fundus photograph": r"capillar",
    "retinal OCT": r"petal|disc\b",
    "knee X-ray": r"cartilage (band|loss|layer)|leg axis|bow(ing|ed)?\b|rear",
    "chest X-ray": r"rotated|shoulder",
}
SENTENCE = re.compile(r"[a-z][A-Za-z ,'/-]*[A-Za-z]")
FILLERS = frozenset(re.findall(r"\w+", "a an and as at by for from in into its of on one or over that the to two with"))


@pytest.fixture(scope="module")
def packs():
    return {name: load_knowledge(name) for name in (*DESCRIBED, *NAMES_ONLY)}


def sentences(kb):
    return [(entry, description.text) for entry in kb.classes for description in entry.descriptions]


def faulty(kb, is_fault):
    return [f"{entry.key}: {text}" for entry, text in sentences(kb) if is_fault(entry, text)]


def stems(text):
    """The words that carry the meaning, cut to five letters, so that 'lobe' and 'lobes' count as one."""
    return frozenset(word[:5].rstrip("s") for word in re.findall(r"[a-z]+", text.lower()) if word not in FILLERS)


@pytest.mark.parametrize("name", MEDICAL)
def test_medical_packs_describe_each_class_with_25_sentences(packs, name):
    assert len(packs[name].classes) == MEDICAL[name]
    assert min(len(entry.descriptions) for entry in packs[name].classes) >= 25


@pytest.mark.parametrize("name", DESCRIBED)
def test_counts_are_balanced(packs, name):
    counts = [len(entry.descriptions) for entry in packs[name].classes]
    mean = sum(counts) / len(counts)
    assert 0.8 * mean <= min(counts) <= max(counts) <= 1.2 * mean


@pytest.mark.parametrize("name", DESCRIBED)
def test_modality_and_provenance_are_stated(packs, name):
    kb = packs[name]
    assert kb.task.modality
    assert {d.provenance for entry in kb.classes for d in entry.descriptions} == {kb.provenance}
    assert kb.provenance.author == "KPL authors"
    assert kb.provenance.written
    assert kb.provenance.source == "general knowledge, unverified"
    assert kb.provenance.reviewed_by is None


@pytest.mark.parametrize("name", DESCRIBED)
def test_sentences_go_on_from_the_template(packs, name):
    assert not faulty(packs[name], lambda _, text: not SENTENCE.fullmatch(text))
    assert not faulty(packs[name], lambda _, text: not 4 <= len(text.split()) <= 25)


@pytest.mark.parametrize("name", DESCRIBED)
def test_prompts_fit_the_shortest_encoder(packs, name):
    """A bound on CLIP's and SigLIP's tokens: a medical word splits into pieces of three letters or more."""
    check_tokens(packs[name], lambda prompt: 2 + sum(-(-len(w) // 5) for w in re.findall(r"\w+|[^\w ]", prompt)), 64)


@pytest.mark.parametrize("name", DESCRIBED)
def test_sentences_say_what_is_seen(packs, name):
    assert not faulty(packs[name], lambda _, text: NEGATION.search(text.lower()))
    assert not faulty(packs[name], lambda _, text: UNSEEN.search(text.lower()))


@pytest.mark.parametrize("name", MEDICAL)
def test_medical_sentences_say_what_one_picture_of_that_kind_can_show(packs, name):
    unseen = NOT_IN_THIS_KIND.get(packs[name].task.modality, r"(?!)")
    assert not faulty(packs[name], lambda _, text: NOT_IN_ONE_PICTURE.search(text.lower()))
    assert not faulty(packs[name], lambda _, text: re.search(unseen, text.lower()))


@pytest.mark.parametrize("name", DESCRIBED)
def test_sentences_name_no_other_class(packs, name):
    names = {
        entry.key: [
            re.compile(rf"\b{re.escape(each.replace('_', ' ').lower())}s?\b")
            for each in (entry.key, entry.name, *entry.aliases)
            if len(each) > 2
        ]
        for entry in packs[name].classes
    }

    def names_another(entry, text):
        others = (pattern for key in names if key != entry.key for pattern in names[key])
        return any(pattern.search(text.lower()) for pattern in others)

    assert not faulty(packs[name], names_another)


@pytest.mark.parametrize("name", DESCRIBED)
def test_no_sentence_says_what_another_says(packs, name):
    listed = sentences(packs[name])
    assert len({fold_sentence(text) for _, text in listed}) == len(listed)
    words = [stems(text) for _, text in listed]
    near = [
        (listed[i][1], listed[j][1])
        for i, j in combinations(range(len(listed)), 2)
        if len(words[i] & words[j]) >= 0.7 * len(words[i] | words[j])
    ]
    assert not near


FOLDERS = {
    "chest-tuberculosis": "Tuberculosis Normal TB abnormal 1 0",
    "chest-pneumonia": "NORMAL PNEUMONIA",
    "chest-covid": "COVID|Lung_Opacity|Normal|Viral Pneumonia",
    "malaria-cells": "Parasitized Uninfected",
    "diabetic-retinopathy": "0 1 2 3 4",
    "cataract-fundus": "1_normal 2_cataract 2_glaucoma 3_retina_disease",
    "retina-diseases": "cataract diabetic_retinopathy glaucoma normal",
    "brain-mri": "glioma meningioma notumor pituitary glioma_tumor meningioma_tumor no_tumor pituitary_tumor",
    "breast-ultrasound": "benign malignant normal",
    "skin-lesions": "akiec bcc bkl df mel nv vasc",
    "gastrointestinal-endoscopy": "dyed-lifted-polyps dyed-resection-margins esophagitis normal-cecum normal-pylorus "
    "normal-z-line polyps ulcerative-colitis",
    "retinal-oct": "CNV DME DRUSEN NORMAL",
    "colorectal-histology": "01_TUMOR 02_STROMA 03_COMPLEX 04_LYMPHO 05_DEBRIS 06_MUCOSA 07_ADIPOSE 08_EMPTY",
    "lung-colon-histology": "colon_aca colon_n lung_aca lung_n lung_scc",
    "knee-osteoarthritis": "0 1 2 3 4",
    "kidney-ct": "Cyst Normal Stone Tumor",
    "oxford-pets": "Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle Bengal Birman Bombay "
    "boxer British_Shorthair chihuahua Egyptian_Mau english_cocker_spaniel english_setter german_shorthaired "
    "great_pyrenees havanese japanese_chin keeshond leonberger Maine_Coon miniature_pinscher newfoundland Persian "
    "pomeranian pug Ragdoll Russian_Blue saint_bernard samoyed scottish_terrier shiba_inu Siamese Sphynx "
    "staffordshire_bull_terrier wheaten_terrier yorkshire_terrier",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_data_sets_own_folder_names_are_classes(packs, name):
    folders = FOLDERS[name].split("|" if "|" in FOLDERS[name] else " ")
    found = {packs[name].resolve(folder) for folder in folders}
    assert found == set(range(len(packs[name].classes)))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("pbc_blood_cells/train", "blood-cells"),
        ("chest_xray_pneumonia", "chest-pneumonia"),
        ("malaria_cells", "malaria-cells"),
        ("breast_ultrasound", "breast-ultrasound"),
        ("idrid_retinopathy", "diabetic-retinopathy"),
    ],
)
def test_folders_of_real_pictures_are_classes(shared, packs, folder, name):
    found = [packs[name].resolve(each.name) for each in (shared / "images" / folder).iterdir() if each.is_dir()]
    assert None not in found
    assert len(set(found)) == len(found) > 1


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("btmri", "brain-mri"),
        ("busi", "breast-ultrasound"),
        ("chmnist", "colorectal-histology"),
        ("covid_19", "chest-covid"),
        ("ctkidney", "kidney-ct"),
        ("dermamnist", "skin-lesions"),
        ("knee_xray", "knee-osteoarthritis"),
        ("kvasir", "gastrointestinal-endoscopy"),
        ("lung_colon", "lung-colon-histology"),
        ("octmnist", "retinal-oct"),
        ("oxford_pets", "oxford-pets"),
        ("retina", "retina-diseases"),
    ],
)
def test_classes_of_other_knowledge_for_the_same_data_are_classes(shared, packs, file, name):
    classes = json.loads((shared / f"knowledge/{file}.json").read_text())
    assert {packs[name].resolve(each) for each in classes} == set(range(len(packs[name].classes)))


def test_sentences_are_not_those_of_the_shared_files(shared, packs):
    others = {
        fold_sentence(text)
        for file in (shared / "knowledge").glob("*.json")
        for texts in json.loads(file.read_text()).values()
        for text in texts
    }
    own = {fold_sentence(text) for name in DESCRIBED for _, text in sentences(packs[name])}
    assert not own & others


@pytest.mark.parametrize("name", [*DESCRIBED, *NAMES_ONLY])
def test_readers_of_yaml_1_1_find_what_the_schema_allows(packs, name):
    """To them a bare `no` is false and a bare day is a date, so a pack quotes both."""
    document = yaml.safe_load(read_pack(name))
    schema = jsonschema_rs.validator_for(json.loads(published_schema()))
    assert [error.message for error in schema.iter_errors(document)] == []
    assert KnowledgeBase.model_validate(document) == packs[name]


@pytest.mark.parametrize("name", [*DESCRIBED, *NAMES_ONLY])
def test_a_pack_that_says_something_else_has_another_version(packs, name):
    """`pack_versions.json` keeps what each version said: raise `task.version` in the pack and add its hash there."""
    said = json.loads((Path(__file__).parent / "pack_versions.json").read_text(encoding="utf-8"))[name]
    assert list(said) == [str(number) for number in range(1, packs[name].task.version + 1)]
    assert said[str(packs[name].task.version)] == packs[name].content_hash()


@pytest.mark.parametrize("name", MEDICAL)
def test_a_medical_pack_says_what_is_decided_on_and_a_ct_its_window(packs, name):
    task = packs[name].task
    assert task.unit
    assert task.finding
    assert (task.window is not None) == ("CT" in task.modality.split())
    if task.window:
        assert read_window(task.window).name == task.window


def test_every_pack_is_tested_here():
    assert {*DESCRIBED, *NAMES_ONLY} == set(pack_names())


@pytest.mark.parametrize("name", pack_names())
def test_the_head_of_a_pack_tells_what_loading_it_would(packs, name):
    head, kb = read_pack_head(name), packs[name]
    assert (head.name, head.task) == (name, kb.task)
    assert head.classes == len(kb.classes)
    assert head.descriptions == sum(len(entry.descriptions) for entry in kb.classes)


# ------------------------------------------------------------------------------------------------ lists of class names


@pytest.mark.parametrize("name", NAMES_ONLY)
def test_a_list_of_names_loads_and_says_how_descriptions_are_written(packs, name):
    kb = packs[name]
    assert kb.names_only
    assert len(kb.name_prompts()) == NAMES_ONLY[name]
    for use in (kb.prompts, kb.absent_prompts):
        with pytest.raises(KnowledgeError, match=r"class names and no descriptions: .*'kpl knowledge write FILE"):
            use()
    assert f"kpl knowledge write my-{name}.yaml" in read_pack(name).decode().partition("kpl_knowledge")[0]
    assert "write" in lint_knowledge(name).findings[0].message


@pytest.mark.parametrize(
    ("name", "label", "index"),
    [
        ("food-101", "apple_pie", 0),
        ("food-101", "waffles", 100),
        ("imagenet-1k", "n01440764", 0),
        ("imagenet-1k", "n04008634", 744),
        ("imagenet-1k", "n04355933", 836),
        ("imagenet-1k", "n15075141", 999),
        ("cub-200", "001.Black_footed_Albatross", 0),
        ("cub-200", "200.Common_Yellowthroat", 199),
        ("places365", "/a/apartment_building/outdoor", 8),
        ("places365", "apartment_building-outdoor", 8),
        ("places365", "zen_garden", 364),
    ],
)
def test_names_stand_where_the_data_set_has_them(packs, name, label, index):
    assert packs[name].resolve(label) == index


def test_the_names_given_are_those_of_the_shared_lists(shared, packs):
    foods = json.loads((shared / "knowledge/food101.json").read_text())
    assert [entry.key for entry in packs["food-101"].classes] == list(foods)
    images = json.loads((shared / "knowledge/imagenet1k.json").read_text())
    names = [entry.key for entry in packs["imagenet-1k"].classes]
    assert [name for name in names if name not in ("projectile", "sunglass")] == list(images)


@pytest.mark.parametrize("name", pack_names())
def test_the_page_of_packs_lists_each_with_its_classes(packs, name):
    page = (Path(__file__).parents[2] / "docs" / "packs.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    assert row.split("|")[2].strip().startswith(f"{len(packs[name].classes)}")
    assert "No clinician has reviewed" in page
