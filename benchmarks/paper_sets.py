"""The ten data sets of the KPL paper: where each is to be had, under which terms, how its folders tell the labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kpl.errors import InputError, LabelsError
from kpl.images import find_pictures

__all__ = ["PAPER_SETS", "LabelledPicture", "PaperSet", "Released"]


class LabelledPicture(NamedTuple):
    """A picture with what its data set calls its class."""

    path: Path
    label: str


class Released(NamedTuple):
    """Accuracies in percent of the log that was released with the paper, for one backbone: (k, text proxy, KPL)."""

    backbone: str
    at: tuple[tuple[int, float, float], ...]
    """At k = 5, 20 and 50."""
    best: tuple[int, float, float]
    """Where KPL is best; k was swept on the test labels."""


@dataclass(frozen=True)
class PaperSet:
    """A data set of the paper.

    Attributes:
        key: name on the command line and of a knowledge file.
        title: for people.
        folders: what its folder may be called, case aside.
        read: finds the pictures with their labels.
        where, terms: where it is to be had, and what is known of its terms.
        pack: shipped knowledge, if there is some.
        released: figures of the released log.
        log_pictures: how many pictures those figures are of, if they tell.
    """

    key: str
    title: str
    folders: tuple[str, ...]
    read: Callable[[Path], list[LabelledPicture]] = field(repr=False)
    where: str
    terms: str
    pack: str | None = None
    released: tuple[Released, ...] = ()
    log_pictures: int | None = None

    def find(self, data: Path) -> Path | None:
        """Return the folder of this set below `data`, or None."""
        wanted = {name.lower() for name in (self.key, *self.folders)}
        return next((path for path in sorted(data.iterdir()) if path.is_dir() and path.name.lower() in wanted), None)


def _class_folders(root: Path) -> list[LabelledPicture]:
    """The folder that a picture lies in is its class."""
    return [LabelledPicture(p.path, p.path.parent.name) for p in find_pictures(root).pictures]


def _name_endings(root: Path) -> list[LabelledPicture]:
    """`CHNCXR_0001_0.png` is normal, `..._1.png` tuberculous; masks of lungs lie beside them and are passed over."""
    named = [(p.path, re.fullmatch(r"(?:CHN|MCU)CXR_\d+_([01])", p.path.stem)) for p in find_pictures(root).pictures]
    masks = {"leftmask", "rightmask", "mask", "masks", "manualmask"}
    found = [
        LabelledPicture(path, match[1])
        for path, match in named
        if match and not masks & _folders(path.relative_to(root))
    ]
    return found or _class_folders(root)


def _folders(path: Path) -> set[str]:
    return {part.lower() for part in path.parts[:-1]}


def _idrid(root: Path) -> list[LabelledPicture]:
    """The grading CSVs; IDRiD_001 exists in the training and in the testing set, so each CSV has its own pictures."""
    pictures = find_pictures(root).pictures
    found: list[LabelledPicture] = []
    for table in sorted(root.rglob("*.csv")):
        part = next((word for word in ("training", "testing") if word in table.name.lower()), "")
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"Image name", "Retinopathy grade"} <= set(rows[0]):
            continue
        near = {p.path.stem: p.path for p in pictures if part in str(p.path.relative_to(root).parent).lower()}
        found += _matched(near, ((row["Image name"].strip(), row["Retinopathy grade"].strip()) for row in rows), table)
    return found or _class_folders(root)


def _matched(near: dict[str, Path], rows: Iterable[tuple[str, str]], source: Path) -> Iterator[LabelledPicture]:
    for name, label in rows:
        if name not in near:
            raise LabelsError(f"{str(source)!r} names {name!r}, and there is no such picture: unpack the set again")
        yield LabelledPicture(near[name], label)


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}. Unpack the data set again") from error


def _list(root: Path, *names: str) -> Path | None:
    """Find a list by its name, at any depth, the first name that is there."""
    return next((path for name in names for path in sorted(root.rglob(name))), None)


def _cub(root: Path) -> list[LabelledPicture]:
    """The test part of `train_test_split.txt`; labels are the names in `classes.txt`."""
    top = _list(root, "images.txt")
    if top is None:
        return _class_folders(root)
    folder = top.parent
    named = {row[0]: row[1] for row in _lines(folder / "classes.txt")}
    labels = {row[0]: row[1] for row in _lines(folder / "image_class_labels.txt")}
    test = {row[0] for row in _lines(folder / "train_test_split.txt") if row[1] == "0"}
    return [LabelledPicture(folder / "images" / r[1], named[labels[r[0]]]) for r in _lines(top) if r[0] in test]


def _pets(root: Path) -> list[LabelledPicture]:
    """`annotations/test.txt`, else all of `list.txt`: `Abyssinian_201` is an Abyssinian."""
    table = _list(root, "test.txt", "list.txt")
    if table is None:
        return _class_folders(root)
    images = table.parent.parent / "images"
    names = [row[0] for row in _lines(table) if not row[0].startswith("#")]
    return [LabelledPicture(images / f"{name}.jpg", name.rpartition("_")[0]) for name in names]


def _food(root: Path) -> list[LabelledPicture]:
    """`meta/test.txt`: `apple_pie/1011328`."""
    table = _list(root, "test.txt")
    if table is None:
        return _class_folders(root)
    images = table.parent.parent / "images"
    return [LabelledPicture(images / f"{row[0]}.jpg", row[0].partition("/")[0]) for row in _lines(table)]


def _places(root: Path) -> list[LabelledPicture]:
    """`places365_val.txt` with class numbers of `categories_places365.txt`."""
    table, categories = _list(root, "places365_val.txt"), _list(root, "categories_places365.txt")
    if table is None or categories is None:
        return _class_folders(root)
    named = {row[1]: row[0] for row in _lines(categories)}
    at = {p.path.name: p.path for p in find_pictures(root).pictures}
    return list(_matched(at, ((row[0], named[row[1]]) for row in _lines(table)), table))


def _imagenet(root: Path) -> list[LabelledPicture]:
    """`val/n01440764/...`: validation pictures in folders by WordNet number."""
    return _class_folders(root / "val" if (root / "val").is_dir() else root)


_NLM = "National Library of Medicine: https://lhncbc.nlm.nih.gov/LHC-publications/pubs/TuberculosisChestXrayImageDataSets.html"
_L14, _L336 = "ViT-L/14", "ViT-L/14@336px"

PAPER_SETS: tuple[PaperSet, ...] = (
    PaperSet(
        "shenzhen",
        "Shenzhen chest X-rays, tuberculosis",
        ("ChinaSet", "ChinaSet_AllFiles", "ShenzhenSet"),
        _name_endings,
        _NLM,
        "open to the research community; cite Jaeger et al. 2014",
        "chest-tuberculosis",
        (
            Released(_L14, ((5, 49.55, 73.72), (20, 50.3, 73.56), (50, 55.74, 75.23)), (40, 51.66, 75.38)),
            Released(_L336, ((5, 49.4, 78.55), (20, 51.06, 77.64), (50, 62.39, 78.25)), (35, 55.29, 78.85)),
        ),
        662,
    ),
    PaperSet(
        "montgomery",
        "Montgomery County chest X-rays, tuberculosis",
        ("MontgomerySet",),
        _name_endings,
        _NLM,
        "open to the research community; cite Jaeger et al. 2014",
        "chest-tuberculosis",
        (
            Released(_L14, ((5, 57.97, 66.67), (20, 59.42, 72.46), (50, 61.59, 68.84)), (20, 59.42, 72.46)),
            Released(_L336, ((5, 57.97, 66.67), (20, 57.97, 68.12), (50, 60.87, 71.01)), (50, 60.87, 71.01)),
        ),
        138,
    ),
    PaperSet(
        "idrid",
        "IDRiD, grades of diabetic retinopathy",
        ("B. Disease Grading", "IDRiD_Disease_Grading"),
        _idrid,
        "https://idrid.grand-challenge.org/Data/",
        "CC BY 4.0",
        "diabetic-retinopathy",
        (
            Released(_L14, ((5, 14.34, 40.5), (20, 36.63, 44.57), (50, 21.71, 44.38)), (10, 16.86, 46.51)),
            Released(_L336, ((5, 29.26, 44.96), (20, 38.37, 47.29), (50, 16.67, 46.9)), (20, 38.37, 47.29)),
        ),
        516,
    ),
    PaperSet(
        "malaria",
        "Malaria cells",
        ("MalariaCell", "cell_images", "MalariaCellImagesDataset", "MalariaCellImagesDataset_newdataset"),
        _class_folders,
        "National Library of Medicine, malaria screener: https://lhncbc.nlm.nih.gov/",
        "see its page; cite Rajaraman et al. 2018",
        "malaria-cells",
        (
            Released(_L14, ((5, 49.31, 39.72), (20, 62.2, 77.24), (50, 62.38, 75.79)), (25, 65.45, 78.21)),
            Released(_L336, ((5, 48.05, 33.22), (20, 60.02, 78.09), (50, 60.75, 78.99)), (35, 64.92, 82.53)),
        ),
        27558,
    ),
    PaperSet(
        "cataract",
        "Cataract, four classes",
        ("CataractDataset", "CataractDataset_newdataset"),
        _class_folders,
        "Kaggle: search for its cataract dataset of fundus photographs, folders 1_normal, 2_cataract, 2_glaucoma, "
        "3_retina_disease",
        "not stated to KPL: see its page",
        None,
        (
            Released(_L14, ((5, 50.92, 39.93), (20, 50.42, 26.46), (50, 16.97, 28.12)), (5, 50.92, 39.93)),
            Released(_L336, ((5, 50.08, 31.11), (20, 40.93, 38.94), (50, 16.64, 37.6)), (10, 47.59, 39.43)),
        ),
        601,
    ),
    PaperSet(
        "cub",
        "CUB-200-2011 birds",
        ("CUB_200_2011",),
        _cub,
        "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "the pictures stay their owners'; non-commercial research, see its page",
        "cub-200",
    ),
    PaperSet(
        "places365",
        "Places365 scenes, validation part",
        ("places365_standard", "places"),
        _places,
        "http://places2.csail.mit.edu/download.html",
        "research and education, see its page",
        "places365",
    ),
    PaperSet(
        "pets",
        "Oxford-IIIT pets",
        ("oxford_pets", "oxford-iiit-pet", "OxfordPets"),
        _pets,
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        "CC BY-SA 4.0",
        "oxford-pets",
    ),
    PaperSet(
        "imagenet",
        "ImageNet-1k, validation part",
        ("ILSVRC2012", "imagenet-1k"),
        _imagenet,
        "https://www.image-net.org/download.php",
        "on request; non-commercial research and education",
        "imagenet-1k",
    ),
    PaperSet(
        "food101",
        "Food-101 dishes",
        ("food-101",),
        _food,
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        "the pictures stay their owners'; scientific fair use, see its page",
        "food-101",
    ),
)
"""In the order of the paper: five medical sets, five natural ones."""
