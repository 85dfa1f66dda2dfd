"""A run over the pictures that a table names: nothing but pictures and patients comes out of the table."""

from __future__ import annotations

import json

import pytest

from kpl.errors import InputError
from kpl.images import Instance
from kpl.runs import classify_multi_label, open_run
from kpl.runs.thumbnails import read_thumbnails

from .conftest import SENTENCES, tree

LABELS = [*SENTENCES, *SENTENCES, *SENTENCES, "platelet"]


def cohort(job, labels, name="cohort.csv", **columns):
    titles = ["image", "patient_id", "label", *columns]
    rows = [[f"{n}.png", f"P{n // 2}", label, *(values[n] for values in columns.values())] for n, label in labels]
    path = job.folder / name
    path.write_text("".join(",".join(row) + "\n" for row in [titles, *rows]))
    return path


def test_no_label_reaches_what_is_learnt(job):
    """The same pictures with true, with false and with no labels, and with more columns: the same run to the byte."""
    seen = []
    for given in (LABELS, LABELS[::-1], [""] * 10):
        job.run(table=cohort(job, enumerate(given)), overwrite=True)
        seen.append(tree(job.out))
    more = {"Edema": ["1"] * 10, "diagnosis": LABELS, "site": list("ababababab")}
    job.run(table=cohort(job, enumerate(LABELS), **more), overwrite=True)
    seen.append(tree(job.out))
    assert all(each == seen[0] for each in seen)
    job.run(overwrite=True)
    alone = tree(job.out)
    assert alone["predictions.csv"] == seen[0]["predictions.csv"], "patients change nothing that is said"
    assert not {"label", "diagnosis", "site"} & set(Instance.__slots__)


@pytest.mark.parametrize("kind", ["cohort.tsv", "cohort.jsonl", "cohort.parquet", "cohort.xlsx"])
def test_no_label_reaches_what_is_learnt_from_any_kind_of_table(job, kind):
    seen = []
    for labels in (LABELS, LABELS[::-1]):
        rows = [{"image": f"{n}.png", "patient_id": f"P{n // 2}", "label": label} for n, label in enumerate(labels)]
        written(job.folder / kind, rows)
        job.run(table=job.folder / kind, overwrite=True)
        seen.append(tree(job.out))
    assert seen[0] == seen[1]
    assert set(open_run(job.out).patients) == {f"P{n}" for n in range(5)}


def written(path, rows):
    if path.suffix == ".xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in (list(rows[0]), *(list(row.values()) for row in rows)):
            book.active.append(row)
        book.save(path)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_text("\n".join("\t".join(row) for row in [list(rows[0]), *(list(r.values()) for r in rows)]))


def test_the_table_decides_which_pictures_and_whose(job):
    table = cohort(job, list(enumerate(LABELS))[:6])
    run = job.run(table=table)
    assert run.ids == tuple(f"{n}.png" for n in range(6))
    assert run.features.groups == ("P0", "P0", "P1", "P1", "P2", "P2")
    assert job.summary["warnings"][:2] == [
        "columns of 'cohort.csv': image from 'image', patient from 'patient_id'; nothing else of it is used",
        "left out, not in the table: 4 of 10 pictures",
    ]
    again = job.run(table, out=job.folder / "beside")
    assert [name.removeprefix("pictures/") for name in again.ids] == list(run.ids), "found below the table's folder"
    several = classify_multi_label(table=table, knowledge=job.knowledge, out=job.folder / "several")
    assert several.features.groups == run.features.groups


def test_units_of_one_picture_each_keep_their_pictures(job):
    rows = "".join(f"{n}.png,eye {n}\n" for n in range(10))
    (job.folder / "units.csv").write_text(f"image,unit\n{rows}")
    run = job.run(table=job.folder / "units.csv")
    assert run.ids == tuple(f"eye {n}" for n in range(10))
    assert {row for row, _ in read_thumbnails(job.out)} == set(range(10))


def test_patients_of_a_run_are_those_of_its_scores(job):
    run = job.run(table=cohort(job, enumerate(LABELS)))
    labels = job.folder / "labels.json"
    labels.write_text(json.dumps({f"{n}.png": label for n, label in enumerate(LABELS)}))
    truth = open_run(run.path).labels(labels)
    assert truth.groups == run.features.groups
    assert truth.group_column == "the run"


def test_a_table_chooses_among_files_only(job):
    features = job.run().path / "features"
    for given in (features, [b"x"]):
        with pytest.raises(InputError, match="--table chooses among files"):
            job.run(given, table=cohort(job, enumerate(LABELS)), out=job.folder / "no")
