from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kpl.embeddings import embed_pictures, hash_pictures, open_features
from kpl.errors import FeaturesError
from kpl.images import Instance, Unit


def draw(path: Path, seed: int) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)).save(path)
    return path


def unit(folder: Path, name: str, seeds: list[int], **facts: Any) -> Unit:
    instances = tuple(
        Instance(f"{name}#{place:03d}", draw(folder / f"{name}-{place}.png", seed), unit=name, group="p1")
        for place, seed in enumerate(seeds)
    )
    return Unit(name, "series", instances, patient="p1", **facts)


def embed(units: list[Unit], encoder: Any, out: Path, **options: Any) -> Any:
    return embed_pictures([i for u in units for i in u.instances], encoder, out, units=units, **options)


def test_features_know_their_units(fake_encoder: Any, tmp_path: Path) -> None:
    alone = Unit.of(Instance("a.png", draw(tmp_path / "a.png", 9)))
    sources = (("0" * 32, "1" * 32), ("2" * 32, None))
    pair = unit(tmp_path, "unit-0001", [0, 1], reading={"window": "40/400"}, notes=("a gap",), sources=sources)
    made = embed([pair, alone], fake_encoder, tmp_path / "out", shard_size=2)
    folder = open_features(tmp_path / "out")
    assert folder.ids == ("unit-0001#000", "unit-0001#001", "a.png")
    assert folder.units.tolist() == [0, 0, 1]
    assert folder.weights.tolist() == [0.5, 0.5, 1.0]
    said = folder.of_units.listed
    assert [each.id for each in said] == ["unit-0001", "a.png"]
    assert (said[0].kind, said[0].patient, said[0].reading, said[0].notes) == (
        "series", "p1", {"window": "40/400"}, ("a gap",),
    )  # fmt: skip
    assert [picture.source for picture in folder.pictures()] == [*sources, None]
    assert made.index.pictures_sha256 == hash_pictures([*pair.instances, *alone.instances], fake_encoder)


def test_a_unit_counts_once_however_many_of_its_instances_can_be_read(fake_encoder: Any, tmp_path: Path) -> None:
    three = unit(tmp_path, "unit-0001", [0, 1, 2])
    three.instances[1].path.write_bytes(b"")
    lost = unit(tmp_path, "unit-0002", [3])
    lost.instances[0].path.write_bytes(b"")
    folder = embed([three, lost], fake_encoder, tmp_path / "out")
    assert folder.of_units.ids == ("unit-0001",)
    assert folder.weights.tolist() == [0.5, 0.5]
    assert [item.id for item in folder.set_aside] == ["unit-0001#001", "unit-0002#000"]


def test_copies_count_once_together(fake_encoder: Any, tmp_path: Path) -> None:
    one, other = unit(tmp_path, "unit-0001", [0, 1]), unit(tmp_path, "unit-0002", [0, 1])
    alone = [Unit.of(Instance(f"{name}.png", draw(tmp_path / f"{name}.png", 7))) for name in "abc"]
    folder = embed([one, other, *alone], fake_encoder, tmp_path / "out")
    assert folder.of_units.copies == ((0, 1), (2, 3, 4))
    np.testing.assert_allclose(folder.weights, [0.25] * 4 + [1 / 3] * 3)
    assert folder.weights.sum() == pytest.approx(2)


def test_plain_folders_say_nothing_of_units(fake_encoder: Any, tmp_path: Path) -> None:
    plain = [Unit.of(Instance(f"{seed}.png", draw(tmp_path / f"{seed}.png", seed), group="p")) for seed in range(3)]
    folder = embed(plain, fake_encoder, tmp_path / "out")
    embed_pictures([i for u in plain for i in u.instances], fake_encoder, tmp_path / "old")
    for path in (tmp_path / "old").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
        assert b"unit" not in path.read_bytes()
    assert folder.weights is None
    assert folder.of_units.plain


def test_another_reading_or_unit_is_no_kept_shard(fake_encoder: Any, tmp_path: Path) -> None:
    first = unit(tmp_path, "unit-0001", [0, 1])
    embed([first], fake_encoder, tmp_path / "out")
    moved = tuple(Instance(i.id, i.path, unit="other", group=i.group) for i in first.instances)
    again = embed([Unit("other", "series", moved, patient="p1")], fake_encoder, tmp_path / "out")
    assert again.of_units.ids == ("other",)
    assert again.reused == 2


def test_rows_of_a_unit_that_do_not_stand_together_are_refused(fake_encoder: Any, tmp_path: Path) -> None:
    one, other = unit(tmp_path, "unit-0001", [0, 1]), unit(tmp_path, "unit-0002", [2])
    mixed = [one.instances[0], other.instances[0], one.instances[1]]
    folder = embed_pictures(mixed, fake_encoder, tmp_path / "out", units=[one, other])
    with pytest.raises(FeaturesError, match="embed again"):
        folder.units  # noqa: B018 - it is computed when it is asked for
