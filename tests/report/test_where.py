"""The map: it finds what was planted, and points at the right cell of a scene; asked for a wrong class it must not."""

from __future__ import annotations

import numpy as np
import pytest

from kpl.embeddings import embed_texts
from kpl.encoders import load_encoder
from kpl.encoders.preprocess import resize
from kpl.errors import EncoderError, InputError
from kpl.knowledge import load_knowledge
from kpl.report import (
    draw_where,
    explain_picture,
    map_picture,
    occlusion_map,
    occlusion_views,
    patch_map,
    window_map,
    window_views,
)
from kpl.runs import open_run
from rendered import cell_of_class, draw_cell

TILE = 144
CELLS = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
SCENES = 20


RED = np.eye(2)


class Card:
    name, dim = "reddish", 2


class Reddish:
    """An encoder whose first column is the share of red in a picture."""

    card = Card()

    def encode_images(self, pictures):
        red = np.array([(p[..., 0] > 200).mean() for p in pictures])
        return np.stack([red, np.sqrt(1 - red**2)], axis=1).astype(np.float32)


def planted(height=96, width=128, y=60, x=30):
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[y - 8 : y + 8, x - 8 : x + 8, 0] = 255
    return picture


@pytest.mark.parametrize(("y", "x"), [(60, 30), (20, 100), (85, 115)])
def test_both_maps_find_what_was_planted(y, x):
    picture = planted(y=y, x=x)
    for where in (
        occlusion_map(picture, Reddish(), RED, 0, grid=8),
        window_map(picture, Reddish(), RED, 0, window=24),
    ):
        assert np.hypot(where.peak[0] - x, where.peak[1] - y) < 20
        assert where.values.shape == (len(where.centres_y), len(where.centres_x))


def test_the_cost_is_known_before(monkeypatch):
    read = []
    monkeypatch.setattr(Reddish, "encode_images", counting(Reddish.encode_images, read))
    picture = planted()
    told = []
    seen = occlusion_map(picture, Reddish(), RED, 0, grid=5, progress=lambda *how_far: told.append(how_far))
    assert seen.views == sum(read) == occlusion_views(5)
    assert [done for done, _ in told] == np.cumsum(read).tolist()
    assert {total for _, total in told} == {seen.views}
    read.clear()
    assert window_map(picture, Reddish(), RED, 0, window=30).views == sum(read) == window_views(picture.shape, 30)


def counting(encode, read):
    def counted(self, pictures):
        read.append(len(pictures))
        return encode(self, pictures)

    return counted


def test_windows_cover_the_whole_picture():
    where = window_map(planted(97, 131), Reddish(), RED, 0, window=40)
    for centres, size in ((where.centres_y, 97), (where.centres_x, 131)):
        assert centres[0] - 20 == 0
        assert centres[-1] + 20 == size
        assert np.diff(centres).max() <= 40 / 3 + 1


@pytest.mark.parametrize("grid", [1, 97])
def test_a_grid_that_does_not_fit_is_refused(grid):
    with pytest.raises(InputError, match="does not fit"):
        occlusion_map(planted(), Reddish(), RED, 0, grid=grid)


@pytest.mark.parametrize("window", [7, 97])
def test_a_window_that_does_not_fit_is_refused(window):
    with pytest.raises(InputError, match="does not fit"):
        window_map(planted(), Reddish(), RED, 0, window=window)


def test_the_drawn_map_is_brightest_where_it_points():
    picture = np.full((600, 900, 3), 180, np.uint8)
    picture[400:440, 200:240, 0] = 255
    drawn = draw_where(picture, window_map(picture, Reddish(), RED, 0, window=90))
    assert drawn.size == (640, 427)
    green = np.asarray(drawn)[..., 1]
    assert green[299, 156] > 2 * green[30, 600]


class Patchy(Reddish):
    """Reddish, with a grid of patches over the square that its card says it reads."""

    card = load_encoder("mini").card.model_copy(update={"name": "patchy", "dim": 2, "image_size": 64})
    across = 8

    def encode_patches(self, pictures):
        step = self.card.image_size // self.across
        found = [
            self.encode_images(
                [cut for row in np.split(resize(p, self.card), self.across) for cut in columns(row, step)]
            )
            for p in pictures
        ]
        return np.stack(found).reshape(len(pictures), self.across, self.across, 2)


def columns(row, step):
    return [row[:, start : start + step] for start in range(0, row.shape[1], step)]


def patchy(**card):
    encoder = Patchy()
    encoder.card = Patchy.card.model_copy(update={"interpolation": "box"} | card)
    return encoder


SQUASH = {"resize": "squash", "crop": "none"}
MIDDLE = {"resize": "shortest", "crop": "center"}
PADDED = {"resize": "longest", "crop": "center_round"}


@pytest.mark.parametrize("how", [SQUASH, MIDDLE, PADDED])
@pytest.mark.parametrize(("height", "width"), [(200, 200), (150, 260), (260, 150)])
def test_patches_are_laid_back_on_the_picture(how, height, width):
    for y, x in ((height // 2 - 40, width // 2 + 30), (height // 2 + 35, width // 2 - 20)):
        where = patch_map(planted(height, width, y, x), patchy(**how), RED, 0)
        step = max(where.side)
        assert np.hypot(where.peak[0] - x, where.peak[1] - y) < step
        assert where.values.shape == (len(where.centres_y), len(where.centres_x))
        assert where.views == 1
        left, top, right, bottom = where.extent
        assert 0 <= left < where.centres_x[0]
        assert where.centres_x[-1] < right <= width
        assert 0 <= top < where.centres_y[0]
        assert where.centres_y[-1] < bottom <= height


def test_what_is_cropped_is_not_mapped_and_is_drawn_black():
    picture = planted(100, 300, 50, 150)
    picture[40:60, 10:40, 0] = 255  # redder, and outside of what the encoder reads
    where = patch_map(picture, patchy(**MIDDLE), RED, 0)
    assert where.extent == (100, 0, 200, 100)
    assert abs(where.peak[0] - 150) < 13
    drawn = np.asarray(draw_where(picture, where))
    assert drawn[:, :95].max() == drawn[:, 205:].max() == 0
    assert drawn[45:55, 145:155].max() > 100


def test_padding_is_no_place_of_the_picture():
    where = patch_map(planted(30, 240, 15, 200), patchy(**PADDED), RED, 0)
    assert where.extent == (0, 0, 240, 30)
    assert len(where.centres_x) == 8
    assert len(where.centres_y) == 2  # of eight rows six see padding alone
    assert where.centres_y.tolist() == [7.5, 22.5]
    assert abs(where.peak[0] - 200) < 16


@pytest.mark.parametrize(
    ("shape", "says"),
    [((1, 64, 2), "patches of shape"), ((2, 8, 8, 2), "patches of shape"), ((1, 8, 8, 3), "card says")],
)
def test_patches_that_break_the_contract_are_refused(shape, says):
    class Broken(Patchy):
        def encode_patches(self, _pictures):
            return np.full(shape, shape[-1] ** -0.5, np.float32)

    with pytest.raises(EncoderError, match=says):
        patch_map(planted(), Broken(), RED, 0)


def scene(seed):
    """Nine cells in a square of tiles: the one asked for is not in the middle, all others are of other classes."""
    rng = np.random.default_rng(seed)
    target = CELLS[seed % len(CELLS)]
    place = [0, 1, 2, 3, 5, 6, 7, 8][int(rng.integers(8))]
    others = [key for key in CELLS if key != target]
    picture = np.zeros((3 * TILE, 3 * TILE, 3), np.uint8)
    for number in range(9):
        key = target if number == place else others[int(rng.integers(len(others)))]
        y, x = divmod(number, 3)
        picture[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = draw_cell(cell_of_class(key, rng), rng)
    return picture, target, place


def points_at(peak, place):
    y, x = divmod(place, 3)
    return x * TILE <= peak[0] < (x + 1) * TILE and y * TILE <= peak[1] < (y + 1) * TILE


@pytest.mark.long
def test_windows_point_at_the_right_cell_of_a_scene_and_wrong_classes_do_not():
    encoder, base = load_encoder("mini"), load_knowledge("blood-cells")
    rows = [r.mean(axis=0, dtype=np.float64) for r in embed_texts(base.prompts(), encoder)]
    proxies = np.stack([row / np.linalg.norm(row) for row in rows])
    keys = [entry.key for entry in base.classes]
    right, wrong, guessed, middle = [], [], [], []
    for seed in range(SCENES):
        picture, target, place = scene(seed)
        own = keys.index(target)
        other = (own + 1 + seed % (len(keys) - 1)) % len(keys)
        for hits, c in ((right, own), (wrong, other)):
            where = window_map(picture, encoder, proxies, c, window=TILE, overlap=2)
            hits.append(points_at(where.peak, place))
        guesses = np.random.default_rng(seed).uniform(0, 3 * TILE, (100, 2))
        guessed.append(np.mean([points_at(peak, place) for peak in guesses]))
        middle.append(points_at((1.5 * TILE, 1.5 * TILE), place))
    assert np.mean(guessed) == pytest.approx(1 / 9, abs=0.03)
    assert np.mean(middle) == 0
    assert np.mean(right) >= 0.8
    assert np.mean(wrong) <= 0.3


def test_the_map_of_a_picture_of_a_run(run, pictures):
    seen = open_run(run)
    found = explain_picture(seen, "cell-01.png", top=0)
    told = []
    drawn, where = map_picture(
        seen, found, pictures / "cell-01.png", announce=lambda views, seconds: told.append((views, seconds))
    )
    assert told[0][0] == where.views == occlusion_views(8)
    assert told[0][1] > 0
    assert drawn.size == (144, 144)
    _, where = map_picture(seen, found, pictures / "cell-01.png", window=72)
    assert where.views == window_views((144, 144, 3), 72)


class WithPatches:
    """The encoder of the run, which tells of a grid of crops what is in them."""

    def __init__(self):
        self.inner = load_encoder("mini")
        self.card = self.inner.card
        self.logit_scale, self.logit_bias = self.inner.logit_scale, self.inner.logit_bias
        self.context_length, self.encode_texts = self.inner.context_length, self.inner.encode_texts
        self.count_tokens, self.unknown_words = self.inner.count_tokens, self.inner.unknown_words
        self.read = 0

    def encode_images(self, pictures):
        self.read += len(pictures)
        return self.inner.encode_images(pictures)

    def encode_patches(self, pictures):
        crops = [cut for p in pictures for row in np.split(resize(p, self.card), 4) for cut in columns(row, 32)]
        crops = [np.ascontiguousarray(crop) for crop in crops]
        return self.inner.encode_images(crops).reshape(len(pictures), 4, 4, -1)


def test_patches_are_the_default_where_there_are_some(run, pictures):
    seen, told, encoder = open_run(run), [], WithPatches()
    found = explain_picture(seen, "cell-01.png", top=0)
    given = {"encoder": encoder, "announce": lambda *cost: told.append(cost)}
    file = pictures / "cell-01.png"
    assert map_picture(seen, found, file, **given)[1].how == "patches"
    assert told == []  # one reading is nothing to announce
    assert encoder.read == 0
    assert map_picture(seen, found, file, how="hiding", **given)[1].how == "hiding"
    assert map_picture(seen, found, file, window=72, **given)[1].how == "windows"
    assert [views for views, _ in told] == [occlusion_views(8), window_views((144, 144, 3), 72)]
    assert map_picture(seen, found, file)[1].how == "hiding"


def test_what_does_not_go_together_is_refused(run, pictures):
    seen = open_run(run)
    found = explain_picture(seen, "cell-01.png", top=0)
    for how, window, says in (
        ("patches", None, "gives no features"),
        ("windows", None, "size"),
        ("hiding", 72, "size"),
    ):
        with pytest.raises(InputError, match=says):
            map_picture(seen, found, pictures / "cell-01.png", how=how, window=window)


def test_the_map_of_another_picture_is_refused(run, pictures):
    seen = open_run(run)
    found = explain_picture(seen, "cell-01.png", top=0)
    with pytest.raises(InputError, match="its bytes differ"):
        map_picture(seen, found, pictures / "cell-02.png")
    with pytest.raises(InputError, match="no such folder or file"):
        map_picture(seen, found, pictures / "none.png")
    with pytest.raises(EncoderError, match="the run used mini"):
        map_picture(seen, found, pictures / "cell-01.png", encoder=_Other())


class _Other:
    card = load_encoder("mini").card.model_copy(update={"name": "other"})
