"""None of these, by the texts alone."""

import numpy as np
import pytest

from kpl.errors import InputError
from kpl.proxies.outside import unlike_texts


def test_pictures_without_what_tells_texts_apart_are_none_of_these():
    rng = np.random.default_rng(0)
    common = np.eye(16)[15]
    texts = np.eye(16)[:4] * 0.5 + common
    listed = 0.4 * np.repeat(np.eye(16)[:4], 20, axis=0) + common + 0.02 * rng.normal(size=(80, 16))
    others = 0.4 * np.eye(16)[rng.integers(5, 12, 40)] + common + 0.02 * rng.normal(size=(40, 16))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (texts, np.concatenate([listed, others]))]
    strange = unlike_texts(unit[1], unit[0]) >= 1
    assert strange[80:].all()
    assert not strange[:80].any()
    assert (unlike_texts(unit[1][80:], unit[0]) >= 1).all()  # nothing there is listed
    chunked = unlike_texts([unit[1][:50], unit[1][50:]], unit[0])
    assert chunked == pytest.approx(unlike_texts(unit[1], unit[0]))


def test_two_texts_cannot_tell():
    with pytest.raises(InputError, match="at least 3"):
        unlike_texts(np.eye(3), np.eye(3)[:2])
