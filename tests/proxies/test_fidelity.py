"""The published routine and its closed form on real features, against values computed independently."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kpl.proxies.arrays import checked_descriptions, unit_rows
from kpl.proxies.official import official_proxies
from kpl.proxies.retrieval import retrieve
from kpl.proxies.ridge import closed_proxies

from . import transcription

pytestmark = pytest.mark.shared
BUNDLES = [
    "whurs19-clip-rn50",
    "whurs19-clip-vit-b-32",
    "whurs19-clip-vit-l-14",
    "whurs19-georsclip-vit-b-32",
    "whurs19-remoteclip-vit-b-32",
    "whurs19-remoteclip-vit-l-14",
]


@pytest.fixture(scope="module")
def golden(shared):
    runs = json.loads((shared / "reference/official_kpl_whurs19.json").read_text())["runs"]
    return lambda bundle, k: np.array(runs[bundle][f"k={k}"]["predictions"])


def read(shared, bundle):
    images = unit_rows(np.load(shared / "features" / bundle / "images.npy"))
    return images, checked_descriptions(list(np.load(shared / "features" / bundle / "descriptions.npy")))


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("k", [20, 106])
def test_the_closed_form_predicts_what_the_published_loop_does(shared, golden, bundle, k):
    images, descriptions = read(shared, bundle)
    scores = closed_proxies(images, retrieve(images.mean(0), descriptions, k).proxies)(images)
    assert np.mean(scores.argmax(1) == golden(bundle, k)) >= 0.98


@pytest.mark.long
@pytest.mark.parametrize("k", [20, 106])
def test_the_published_loop_predicts_the_golden_values(shared, golden, k):
    images, descriptions = read(shared, BUNDLES[1])
    proxies = official_proxies(images, retrieve(images.mean(0), descriptions, k).proxies)
    np.testing.assert_array_equal((images @ proxies.T).argmax(1), golden(BUNDLES[1], k))


@pytest.mark.long
def test_the_published_loop_agrees_with_its_transcription(shared):
    images, descriptions = read(shared, BUNDLES[1])
    texts = retrieve(images.mean(0), descriptions, 20).proxies
    np.testing.assert_allclose(texts, transcription.text_proxies(images, descriptions, 20), rtol=0, atol=1e-8)
    found = official_proxies(images, texts, steps=100)
    np.testing.assert_allclose(found, transcription.official(images, texts, 100), rtol=0, atol=1e-8)
