"""What a caption claims is in the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from kpl.errors import InputError
from rendered import ATTRIBUTES, DEMO_WORLD, TRAINING_WORLD, CellSpec, draw_cell, random_spec
from rendered.cell import SIZES

from .rendered_measures import NO_NUCLEUS, PLAIN, RED_CELL, calm, cell_mask, nucleus_mask

SEEDS = range(4)
LOBED = {"nucleus_form": None, "nucleus_share": "small", "cytoplasm_amount": "abundant", "size": "large"}


@given(st.integers(0, 2**32), st.sampled_from([32, 96, 144]))
@settings(max_examples=25, deadline=None)
def test_a_seed_draws_one_picture(seed: int, size: int) -> None:
    first, second = (draw(seed, size) for _ in range(2))
    assert first.shape == (size, size, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)


def draw(seed: int, size: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return draw_cell(random_spec(rng), rng, size, (TRAINING_WORLD, DEMO_WORLD)[seed % 2])


def test_another_seed_draws_another_picture() -> None:
    assert (draw(1, 64) != draw(3, 64)).mean() > 0.5


def test_every_value_of_every_attribute_is_drawn() -> None:
    rng = np.random.default_rng(0)
    missing = {(name, value) for name, values in ATTRIBUTES.items() for value in values}
    while missing:
        spec = random_spec(rng)
        found = missing & set(spec.seen().items())
        if found:
            picture = draw_cell(spec, rng, 64)
            assert picture.std() > 3, found
            missing -= found


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(InputError, match="32 or more"):
        draw_cell(CellSpec(**PLAIN), np.random.default_rng(0), 16)


@pytest.mark.parametrize("size", ATTRIBUTES["size"])
def test_size_is_measured_in_red_cells(size: str) -> None:
    low, high = SIZES[size]
    for seed in SEEDS:
        area = cell_mask(calm(seed, base=RED_CELL, size=size)).sum()
        width = 2 * np.sqrt(area / np.pi) / 28
        assert low - 0.06 < width < high + 0.1


SHARES = (
    ("small", "abundant", 0.14, 0.33),
    ("half", "abundant", 0.33, 0.46),
    ("half", "moderate", 0.40, 0.58),
    ("most", "moderate", 0.54, 0.69),
    ("most", "scant", 0.64, 0.82),
    ("nearly_all", "scant", 0.78, 0.94),  # by a round or oval nucleus alone
)


@pytest.mark.parametrize(
    ("form", "share", "amount", "low", "high"),
    [
        (form, *share)
        for form in ("round", "oval", "indented", "folded")
        for share in SHARES
        if form in ("round", "oval") or share[0] != "nearly_all"
    ],
)
def test_the_nucleus_takes_up_its_share(form: str, share: str, amount: str, low: float, high: float) -> None:
    shape = "oval" if form == "oval" else "round"
    for seed in SEEDS:
        picture = calm(seed, size="large", shape=shape, nucleus_form=form, nucleus_share=share, cytoplasm_amount=amount)
        assert low < nucleus_mask(picture).sum() / cell_mask(picture).sum() < high


@pytest.mark.parametrize(("form", "share"), [("band", "small"), ("band", "half"), (None, "small"), (None, "half")])
def test_a_slender_nucleus_takes_up_its_share(form: str | None, share: str) -> None:
    low, high = {"small": (0.14, 0.33), "half": (0.29, 0.52)}[share]
    for seed in SEEDS:
        changes = {"nucleus_form": form, "nucleus": "single" if form else "multilobed", "nucleus_share": share}
        picture = calm(seed, size="large", cytoplasm_amount="abundant", **changes)
        assert low < nucleus_mask(picture).sum() / cell_mask(picture).sum() < high


@pytest.mark.parametrize(("nucleus", "counts"), [("bilobed", {2}), ("multilobed", {3, 4, 5})])
def test_lobes_can_be_counted(nucleus: str, counts: set[int]) -> None:
    seen = [lobes(calm(seed, 288, nucleus=nucleus, **LOBED)) for seed in range(12)]
    assert sum(count in counts for count in seen) >= 11, seen


def lobes(picture: NDArray[np.float64]) -> int:
    """Cores of the nucleus: what is left of it once strands are worn away."""
    depth = ndimage.distance_transform_edt(nucleus_mask(picture))
    return int(ndimage.label(depth > 0.62 * depth.max())[1])


@pytest.mark.parametrize("form", ["round", "oval", "indented", "folded", "band"])
@pytest.mark.parametrize("shape", ATTRIBUTES["shape"])
def test_a_single_nucleus_is_in_one_piece(form: str, shape: str) -> None:
    for seed in SEEDS:
        picture = calm(seed, size="large", shape=shape, nucleus_form=form)
        pieces = ndimage.sum_labels(np.ones(picture.shape[:2]), ndimage.label(nucleus_mask(picture))[0], [1, 2])
        assert pieces[1] < 0.12 * pieces[0], seed


def test_an_eccentric_nucleus_lies_to_one_side() -> None:
    for seed in SEEDS:
        aside, central = (calm(seed, nucleus_place=place) for place in ("eccentric", "central"))
        assert distance_of_centres(aside) > 0.2 > 0.1 > distance_of_centres(central)


def distance_of_centres(picture: NDArray[np.float64]) -> float:
    cell, nucleus = cell_mask(picture), nucleus_mask(picture)
    apart = np.subtract(ndimage.center_of_mass(cell), ndimage.center_of_mass(nucleus))
    return float(np.hypot(*apart) / np.sqrt(cell.sum() / np.pi))


def test_solidity_tells_the_forms_of_the_nucleus_apart() -> None:
    def compactness(form: str) -> float:
        """Area of the nucleus in the circle around it."""
        values = []
        for seed in SEEDS:
            rows, columns = np.nonzero(nucleus_mask(calm(seed, size="large", nucleus_form=form)))
            reach = np.hypot(rows - rows.mean(), columns - columns.mean()).max()
            values.append(len(rows) / (np.pi * reach**2))
        return float(np.mean(values))

    assert compactness("round") > 0.85 > compactness("oval")
    assert compactness("round") > compactness("indented") > compactness("band")


def test_tones_of_the_nucleus_darken() -> None:
    pale, violet, dark = (
        np.mean([calm(seed, nucleus_tone=tone)[66:78, 66:78].mean() for seed in SEEDS])
        for tone in ("pale", "violet", "dark")
    )
    assert pale > violet + 0.12 > dark + 0.2


def test_chromatin_is_told_by_its_texture() -> None:
    rough, coarse = {}, {}
    for chromatin in ("open", "clumped", "dense"):
        patches = [
            calm(seed, 288, size="large", nucleus_tone="violet", chromatin=chromatin)[120:168, 120:168, 1]
            for seed in SEEDS
        ]
        rough[chromatin] = np.mean([patch.std() for patch in patches])
        coarse[chromatin] = np.mean([ndimage.gaussian_filter(patch, 2).std() / patch.std() for patch in patches])
    assert rough["clumped"] > 2 * rough["dense"] < rough["open"]
    assert coarse["clumped"] > 1.3 * coarse["open"]


def test_nucleoli_are_paler_spots() -> None:
    for seed in SEEDS:
        spotted, plain = (
            calm(seed, size="large", nucleus_tone="dark", chromatin="clumped", nucleoli=value)[48:96, 48:96, 0]
            for value in ("present", "absent")
        )
        paler = (spotted - plain) > 0.15
        assert 4 < paler.sum() < 150


def test_tones_of_the_cytoplasm_are_those_named() -> None:
    mean = {
        tone: np.mean([calm(seed, base=RED_CELL, cytoplasm_tone=tone)[66:78, 66:78].mean((0, 1)) for seed in SEEDS], 0)
        for tone in ATTRIBUTES["cytoplasm_tone"]
    }
    assert mean["clear"].min() > 0.9
    assert mean["pink"].min() > 0.7 < mean["pink"][1] < mean["pink"][0]
    for tone, strongest, weakest in [("orange", 0, 2), ("blue", 2, 0), ("purple", 2, 1), ("red", 0, 1)]:
        assert mean[tone][strongest] > mean[tone][weakest] + 0.05, tone
    assert np.ptp(mean["grey"]) < np.ptp(mean["blue"]) / 2
    assert mean["purple"].mean() < mean["pink"].mean() - 0.1


def test_granules_change_the_cytoplasm_in_their_colour() -> None:
    for seed in SEEDS:
        cytoplasm = {
            kind: (p := calm(seed, size="large", granules=kind))[cell_mask(p) & ~nucleus_mask(p, 0.12)]
            for kind in ATTRIBUTES["granules"]
        }
        mean = {kind: values.mean(0) for kind, values in cytoplasm.items()}
        rough = {kind: values[:, 1].std() for kind, values in cytoplasm.items()}
        assert mean["none"][1] > mean["fine"][1] > mean["purple"][1]
        assert mean["orange"][0] - mean["orange"][2] > mean["none"][0] - mean["none"][2] + 0.1
        assert mean["dark"].sum() == min(values.sum() for values in mean.values())
        assert rough["fine"] < rough["purple"]


@pytest.mark.parametrize("tone", ATTRIBUTES["cytoplasm_tone"])
@pytest.mark.parametrize("granules", ["fine", "purple", "orange", "dark"])
def test_granules_stand_out_on_every_cytoplasm(tone: str, granules: str) -> None:
    def unevenness(kind: str) -> float:
        patches = [
            calm(s, base=RED_CELL, size="large", cytoplasm_tone=tone, granules=kind)[58:86, 58:86] for s in SEEDS
        ]
        return float(np.mean([patch.std((0, 1)).max() for patch in patches]))

    assert unevenness(granules) > unevenness("none") + 0.02


def test_granules_hide_an_obscured_nucleus() -> None:
    hidden = NO_NUCLEUS | {"nucleus": "obscured"}
    for granules in ("purple", "orange", "dark"):
        picture = calm(0, granules=granules, **hidden)
        bare = calm(0, size="medium", nucleus="bilobed", nucleus_form=None)
        assert nucleus_mask(picture, 0.12).sum() < 0.9 * cell_mask(picture).sum()
        assert np.abs(picture - bare).max() > 0.3


def test_vacuoles_let_the_background_through() -> None:
    for seed in SEEDS:
        holes, none = (calm(seed, 144, size="large", cytoplasm_tone="grey", vacuoles=v) for v in ("present", "absent"))
        inside = ndimage.binary_erosion(cell_mask(none), iterations=3)
        assert (holes[inside].min(1) > 0.85).sum() > 10 > (none[inside].min(1) > 0.85).sum()


@pytest.mark.parametrize("inclusion", ["ring", "parasite"])
def test_an_inclusion_is_a_dark_body_in_the_cell(inclusion: str) -> None:
    for seed in SEEDS:
        with_body, without = (calm(seed, base=RED_CELL, inclusion=value) for value in (inclusion, "none"))
        assert with_body[..., 1].min() < without[..., 1].min() - 0.2
        dark = with_body[..., 1] < 0.5
        assert (dark & cell_mask(without)).sum() >= 0.8 * dark.sum() > 5


def test_a_parasite_is_larger_than_a_ring() -> None:
    size = {
        kind: sum((calm(s, base=RED_CELL, inclusion=kind)[..., 0] < 0.6).sum() for s in SEEDS)
        for kind in ("ring", "parasite")
    }
    assert size["parasite"] > 1.5 * size["ring"]


def test_pallor_is_a_paler_centre() -> None:
    for seed in SEEDS:
        dish, disc = (calm(seed, base=RED_CELL, pallor=value)[..., 1] for value in ("present", "absent"))
        assert dish[72, 72] > dish[72, 72 - 11 : 72 - 8].mean() + 0.1
        assert abs(disc[72, 72] - disc[72, 72 - 11 : 72 - 8].mean()) < 0.05


def test_a_ragged_border_is_longer_than_a_smooth_one() -> None:
    def edge(border: str, size: str) -> float:
        masks = [cell_mask(calm(seed, base=RED_CELL, border=border, size=size)) for seed in SEEDS]
        return float(np.mean([(m ^ ndimage.binary_erosion(m)).sum() / np.sqrt(m.sum()) for m in masks]))

    for size in ("tiny", "small", "large"):
        assert edge("ragged", size) > 1.08 * edge("smooth", size), size


def test_shapes_differ_in_their_stretch_and_evenness() -> None:
    def spread(shape: str) -> float:
        """Relative spread of the distance between the centre and the edge."""
        values = []
        for seed in SEEDS:
            mask = cell_mask(calm(seed, base=RED_CELL, shape=shape))
            rows, columns = np.nonzero(mask ^ ndimage.binary_erosion(mask))
            away = np.hypot(rows - rows.mean(), columns - columns.mean())
            values.append(away.std() / away.mean())
        return float(np.mean(values))

    assert spread("round") < 0.06 < spread("irregular")
    assert spread("oval") > 0.1


def test_every_red_cell_leaves_the_centre_cell_free() -> None:
    for seed in range(6):
        spec = CellSpec(**PLAIN)
        picture = draw_cell(spec, np.random.default_rng(seed), 96, TRAINING_WORLD).astype(float)
        middle, corner = picture[44:52, 44:52].mean(), picture.reshape(-1, 3).mean()
        assert middle < 0.7 * corner
