"""A run folder is whole or not there, whatever happens on the way; an interrupted run is gone on with."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from tests.conftest import FakeEncoder

import kpl.files as files
import kpl.runs.classifying as classifying
import kpl.runs.job as job_room
import kpl.runs.tables as tables
from kpl.errors import AlreadyThereError, KplError, OutputError
from kpl.methods import KPL
from kpl.runs import is_run, open_run

from .conftest import draw, make_job, tree

FULL = OSError(errno.ENOSPC, "No space left on device")


class BugError(Exception):
    """Something that nobody foresaw."""


def blow(error):
    def failing(*_args, **_keywords):
        raise error

    return failing


def fail_late(error, after=7):
    """A CSV writer that fails after some rows were written."""

    def failing(path, header, rows):
        with path.open("w", encoding="utf-8") as file:
            for number, row in enumerate(rows):
                if number == after:
                    raise error
                file.write(",".join(row))

    return failing


def encoder_fails(job, error, on_call):
    whole = type(job.encoder).encode_images

    def failing(pictures):
        if len(job.encoder.image_batches) == on_call:
            raise error
        return whole(job.encoder, pictures)

    job.encoder.encode_images = failing


def moves_fail(monkeypatch, error, on_call, *, exchange=False):
    """Let one of the steps fail by which a finished folder gets its name, with the system's exchange or without."""
    if exchange:
        monkeypatch.setattr(files, "_exchange", blow(error))
        return
    monkeypatch.setattr(files, "_exchange", lambda _one, _other: False)
    real, calls = os.replace, []

    def failing(source, target):
        if str(target).endswith(("run", ".run.replaced")):
            calls.append(target)
            if len(calls) == on_call:
                raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)


QUICK = {"with_evidence": True, "settings": {"rounds": 1, "k": 2}}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What a run that nothing stops comes to."""
    with pytest.MonkeyPatch.context() as patch:
        clean = make_job(tmp_path_factory.mktemp("clean"), FakeEncoder("mini"), patch)
        clean.run(**QUICK)
    return tree(clean.out)


def at(owner, name, failing=blow):
    """A stage that fails in the function `name` of `owner`."""
    return lambda _job, patch, error: patch.setattr(owner, name, failing(error))


STAGES = {
    "first batch": lambda job, _patch, error: encoder_fails(job, error, 0),
    "in the second shard": lambda job, _patch, error: encoder_fails(job, error, 3),
    "sentences": at(classifying, "embed_texts"),
    "learning": at(KPL, "_learn"),
    "predictions": at(tables, "write_csv", fail_late),
    "evidence": at(classifying, "explain"),
    "writing evidence": at(classifying, "write_evidence"),
    "texts": at(classifying, "save_texts"),
    "knowledge": at(job_room, "write_knowledge"),
    "summary": at(job_room, "about"),
    "log": at(job_room, "write_log"),
    "the last rename": lambda _job, patch, error: moves_fail(patch, error, 1),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BugError()], ids=["Ctrl-C", "bug"])
@pytest.mark.parametrize("stage", STAGES)
def test_stopped_anywhere_there_is_no_run_and_the_same_command_finishes_it(job, monkeypatch, wanted, stage, error):
    with monkeypatch.context() as patch:
        STAGES[stage](job, patch, error)
        with pytest.raises(type(error)):
            job.run(**QUICK)
    vars(job.encoder).pop("encode_images", None)
    assert not job.out.exists()
    finished = len(list((job.partial / "features").glob("images-*.json")))
    assert finished == {"first batch": 0, "in the second shard": 1}.get(stage, 3)
    before = sum(job.encoder.image_batches)
    job.run(**QUICK)
    again = sum(job.encoder.image_batches) - before
    assert again == max(0, 10 - 4 * finished), "only what no finished shard holds is embedded again"
    assert tree(job.out) == wanted
    assert not job.partial.exists()


OVERWRITING = {
    **STAGES,
    "the rename after it": lambda _job, patch, error: moves_fail(patch, error, 2),
    "the exchange": lambda _job, patch, error: moves_fail(patch, error, 1, exchange=True),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL], ids=["Ctrl-C", "full disk"])
@pytest.mark.parametrize("stage", OVERWRITING)
def test_an_earlier_run_stays_until_the_new_one_is_whole(job, monkeypatch, stage, error):
    job.run(method="text")
    earlier = tree(job.out)
    draw(job.pictures / "more.png", seed=99)
    for seed, path in enumerate(sorted(job.pictures.iterdir()), start=100):
        draw(path, seed)  # or their features were taken over
    job.encoder.image_batches.clear()
    with monkeypatch.context() as patch:
        OVERWRITING[stage](job, patch, error)
        with pytest.raises(OutputError if error is FULL else type(error)):
            job.run(**QUICK, overwrite=True)
    vars(job.encoder).pop("encode_images", None)
    assert tree(job.out) == earlier
    run = open_run(job.out)
    assert run.summary["plan"]["method"] == "text"
    assert len(repr(run)) < 1000, "what it holds is not spelled out"
    job.run(**QUICK, overwrite=True)
    assert job.summary["pictures"] == 11
    assert sorted(path.name for path in job.folder.iterdir()) == ["knowledge.json", "pictures", "run"]


def test_full_disk_is_one_line_that_says_what_to_do(job, monkeypatch):
    monkeypatch.setattr(classifying, "write_predictions", blow(FULL))
    with pytest.raises(OutputError, match=r"cannot write '.*run': No space left on device\. Mend that and run the"):
        job.run()


def test_an_interrupted_run_leaves_nothing_of_its_options(job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job_room, "write_log", blow(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            job.run(with_evidence=True)
    assert (job.partial / "evidence.csv").exists()
    job.run()
    assert not (job.out / "evidence.csv").exists()


def test_an_interrupted_run_of_other_pictures_is_not_mixed_in(job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job_room, "write_log", blow(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            job.run()
    others = job.folder / "others"
    for number in range(3):  # one shard fewer, and two of the names are the same
        draw(others / f"{number + 8}.png", seed=50 + number)
    job.run(others)
    job.run(others, out=job.folder / "clean")
    assert tree(job.out) == tree(job.folder / "clean")
    assert job.summary["pictures"] == 3


def test_an_interrupted_run_whose_pictures_changed_embeds_those_again(job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job_room, "write_log", blow(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            job.run()
    draw(job.pictures / "5.png", seed=555)
    job.encoder.image_batches.clear()
    job.run()
    assert sum(job.encoder.image_batches) == 4
    job.run(out=job.folder / "clean")
    assert tree(job.out) == tree(job.folder / "clean")


def test_an_existing_run_is_refused_before_anything_is_done(job):
    job.run()
    earlier, batches = tree(job.out), list(job.encoder.image_batches)
    with pytest.raises(OutputError, match=r"'.*run' exists: give another --out, or replace that run with --overwrite"):
        job.run(method="text")
    assert tree(job.out) == earlier
    assert job.encoder.image_batches == batches


@pytest.mark.parametrize("given", [{}, QUICK, {"method": "text", "abstain_below": 0.2}], ids=["plain", "quick", "text"])
def test_the_same_run_again_is_there_already(job, given):
    """A command may be killed after its run got its name, and before it said so."""
    job.run(**given)
    earlier, batches = tree(job.out), list(job.encoder.image_batches)
    (job.partial / "features").mkdir(parents=True)  # of the run before, on its way out
    with pytest.raises(AlreadyThereError, match=r"'.*run' is there already, made from the same: nothing to do"):
        job.run(**given)
    assert (tree(job.out), job.encoder.image_batches) == (earlier, batches)
    assert not job.partial.exists()
    draw(job.pictures / "5.png", seed=555)
    with pytest.raises(OutputError, match="exists: give another --out"):
        job.run(**given)
    job.run(**given, overwrite=True)
    assert tree(job.out) != earlier


def test_what_is_finished_with_a_run_comes_with_it(job):
    with pytest.raises(KeyboardInterrupt):
        job.run(finish=blow(KeyboardInterrupt()))
    assert not job.out.exists()
    job.run(finish=lambda work: (work / "report.html").write_text("seen"))
    assert (job.out / "report.html").read_text() == "seen"


def test_overwrite_replaces_a_run(job):
    job.run(with_evidence=True)
    job.run(method="text", overwrite=True)
    assert job.summary["plan"]["method"] == "text"
    assert not (job.out / "evidence.csv").exists()


def thesis(out):
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")


def others_run(out):
    thesis(out)
    (out / "run.json").write_text('{"experiment": 7}')


def broken_json(out):
    thesis(out)
    (out / "run.json").write_text("{")


def a_file(out):
    out.write_text("mine")


def dangling(out):
    out.symlink_to(out.with_name("gone"))


@pytest.mark.parametrize("make", [thesis, others_run, broken_json, a_file, dangling])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_never_replaced(job, make, overwrite):
    make(job.out)
    before = tree(job.folder)
    with pytest.raises(OutputError, match="exists"):
        job.run(overwrite=overwrite)
    assert tree(job.folder) == before
    assert job.encoder.image_batches == []


def test_an_empty_folder_may_be_overwritten(job):
    job.out.mkdir()
    with pytest.raises(OutputError, match="exists"):
        job.run()
    job.run(overwrite=True)
    assert is_run(job.out)


def test_a_link_to_a_run_keeps_pointing_to_it(job):
    job.run(out=job.folder / "disk" / "real")
    job.out.symlink_to(job.folder / "disk" / "real")
    for method in ("text", "cupl"):
        job.run(method=method, overwrite=True)
        assert job.out.is_symlink()
        assert open_run(job.folder / "disk" / "real").summary["plan"]["method"] == method
    assert [path.name for path in (job.folder / "disk").iterdir()] == ["real"]


def test_folders_on_the_way_are_made(job):
    job.run(out=job.folder / "a" / "b" / "run")
    assert is_run(job.folder / "a" / "b" / "run")


def test_out_may_be_relative(job, monkeypatch):
    monkeypatch.chdir(job.folder)
    job.run(out="run")
    job.run(out="run/", overwrite=True)
    job.run(out="./new/../other")
    assert is_run(job.out)
    assert is_run(job.folder / "other")


def test_a_run_among_its_own_pictures_does_not_feed_on_itself(job):
    job.run(out=job.pictures / "run")
    job.run(out=job.pictures / "run", overwrite=True)
    assert is_run(job.pictures / "run")
    assert open_run(job.pictures / "run").summary["pictures"] == 10


def test_what_has_nothing_to_go_on_from_is_cleared_away(job, monkeypatch):
    monkeypatch.setattr("kpl.runs.source.embed_in_place", blow(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        job.run()
    assert not job.partial.exists()


def test_every_error_of_the_folder_is_of_the_tree(job, monkeypatch):
    monkeypatch.setattr(shutil, "rmtree", lambda *_args, **_keywords: None)
    monkeypatch.setattr(os, "replace", blow(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(KplError, match="Permission denied"):
        job.run()
