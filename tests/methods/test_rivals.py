"""The mathematics of the rivals against independent computations."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import dirichlet

from kpl.embeddings import open_bundle
from kpl.errors import InputError
from kpl.methods import TransCLIP
from kpl.methods.adapt import learn_adapt
from kpl.methods.em_dirichlet import DirichletClasses, DirichletSettings, _most_likely
from kpl.methods.frolic import learn_frolic, prompt_gaussians
from kpl.methods.gda import learn_gda
from kpl.methods.mixtures import DiagonalGaussians, GraphSettings, stata, transclip
from kpl.methods.zlap import PropagationSettings, propagate
from kpl.proxies.arrays import softmax
from kpl.proxies.neighbours import nearest, neighbour_graph
from kpl.proxies.priors import checked_prior, estimated_prior
from kpl.proxies.sums import sum_images
from kpl.testing import planted


@pytest.fixture
def world():
    images, texts, classes = planted(1, n=40)
    proxies = np.stack([rows.mean(axis=0) for rows in texts])
    return images, proxies / np.linalg.norm(proxies, axis=1, keepdims=True), classes


@pytest.mark.shared
def test_transclip_reproduces_what_its_authors_published(shared):
    with (shared / "reference" / "transclip_whurs19.csv").open() as file:
        published = {f"{r['encoder']}-{r['architecture']}".lower(): r for r in csv.DictReader(file)}
    assert len(published) == 6
    for name, row in published.items():
        bundle = open_bundle(shared / "features" / f"whurs19-{name}")
        images = bundle.images.load()
        right = np.mean(TransCLIP().fit(images, bundle.descriptions).predict(images) == bundle.labels)
        assert 100 * right == pytest.approx(float(row["transclip_accuracy"]), abs=0.05)


def slow_graph(images, k):
    cosine = images @ images.T
    held = np.zeros_like(cosine)
    for i in range(len(images)):
        for j in sorted(set(range(len(images))) - {i}, key=lambda j: -cosine[i, j])[:k]:
            held[i, j] = cosine[i, j]
    return held + held.T


def test_the_graph_joins_every_image_to_its_nearest_others(world, monkeypatch):
    monkeypatch.setattr("kpl.proxies.neighbours.BLOCK_CELLS", 100)  # several blocks
    np.testing.assert_allclose(neighbour_graph(world[0], 3).toarray(), slow_graph(world[0], 3), atol=1e-12)
    assert nearest(world[0][:1], world[0][:1], 3, same=True)[0].shape == (1, 0)


def test_log_densities_are_those_of_gaussians(world):
    images, proxies, _ = world
    variances = np.random.default_rng(0).uniform(0.1, 1, proxies.shape)
    found = DiagonalGaussians(proxies, variances).log_density(images)
    for c, (mean, spread) in enumerate(zip(proxies, variances, strict=True)):
        expected = [-0.5 * ((x - mean) ** 2 / spread + np.log(spread)).sum() for x in images]
        np.testing.assert_allclose(found[:, c], expected, atol=1e-9)


@pytest.mark.parametrize("anchored", [False, True])
def test_one_round_of_the_mixtures_image_by_image(world, anchored):
    images, proxies, _ = world
    settings = GraphSettings(rounds=1, inner_rounds=1)
    scores, classes = (stata if anchored else transclip)(images, proxies, settings)
    text = softmax(100 * images @ proxies.T)
    if anchored:
        means = proxies
        squares = sum(text[i, c] * (images[i] - proxies[c]) ** 2 for i in range(40) for c in range(4))
        spread = squares / 40
    else:
        spread = np.full(16, 1 / 16)
        best = [sorted(range(40), key=lambda i, c=c: -text[i, c])[:8] for c in range(4)]
        means = np.stack([np.average(images[b], axis=0, weights=text[b, c]) for c, b in enumerate(best)])
    graph, z = slow_graph(images, 3), np.zeros((40, 4))
    for i, x in enumerate(images):
        near = (graph[i] @ text) / 6
        density = np.array([-0.5 * ((x - m) ** 2 / spread + np.log(spread)).sum() for m in means])
        z[i] = text[i] * np.exp(density / 50 + near - density.max() / 50)
    z /= z.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(scores), z, atol=1e-9)
    weighted = z.T @ images
    mean = (weighted + proxies * anchored) / (z.sum(axis=0)[:, None] + anchored)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(classes.means, mean, atol=1e-9)
    own = [sum(z[i, c] * (images[i] - mean[c]) ** 2 for i in range(40)) for c in range(4)]
    if anchored:
        mass = z.sum(axis=0)
        own = [(own[c] + spread + (proxies[c] - mean[c]) ** 2) / (mass[c] + 1) for c in range(4)]
        np.testing.assert_allclose(classes.variances, own, atol=1e-9)
    else:
        np.testing.assert_allclose(classes.variances[0], np.sum(own, axis=0) / 40, atol=1e-9)


def test_propagation_solves_its_linear_system(world):
    images, proxies, _ = world
    proxies = np.vstack([proxies, -proxies[:2]])  # negative cosines too; more texts than neighbours
    found = propagate(images, proxies, PropagationSettings(neighbours=3, gamma=2.0, alpha=0.7))
    to_texts = images @ proxies.T + max(0.0, -(images @ proxies.T).min())
    held = np.zeros((46, 46))
    for i in range(40):
        for c in np.argsort(-to_texts[i])[:3]:
            held[6 + i, c] = to_texts[i, c] ** 2
        cosine = images @ images[i]
        cosine[i] = -np.inf
        for j in np.argsort(-cosine)[:3]:
            held[6 + i, 6 + j] = max(cosine[j], 0) ** 2
    graph = held + held.T
    degree = graph.sum(axis=0)
    root = np.sqrt(np.where(degree > 0, degree, 1.0))  # no image is near some text
    solution = np.linalg.solve(np.eye(46) - 0.7 * graph / np.outer(root, root), np.eye(46, 6))
    np.testing.assert_allclose(found.scores, solution[6:], atol=1e-9)
    weights = np.zeros(46)
    new = images[0] + 0.1 * images[1]
    new /= np.linalg.norm(new)
    for c in np.argsort(-(new @ proxies.T))[:3]:
        weights[c] = (new @ proxies[c] + found.lift) ** 2
    for j in np.argsort(-(images @ new))[:3]:
        weights[6 + j] = max(images[j] @ new, 0) ** 2
    np.testing.assert_allclose(found.extend(new[None])[0], (weights / root) @ solution, atol=1e-9)


def test_dirichlet_parameters_are_the_likeliest():
    rng = np.random.default_rng(0)
    points = rng.dirichlet([2.0, 5.0, 0.7], size=400)
    found = _most_likely(np.ones((1, 3)), np.log(points).mean(axis=0)[None], 2000)[0]

    def loss(log_a):
        a = np.exp(log_a)
        return -(gammaln(a.sum()) - gammaln(a).sum() + (a - 1) @ np.log(points).mean(axis=0))

    np.testing.assert_allclose(found, np.exp(minimize(loss, np.zeros(3)).x), rtol=1e-3)


def test_dirichlet_scores_are_log_densities():
    cosines = np.random.default_rng(0).normal(size=(5, 3)) / 30
    a = np.array([[2.0, 1.0, 1.0], [1.0, 3.0, 1.0], [0.5, 1.0, 2.0]])
    found = DirichletClasses(a, np.log([0.2, 0.3, 0.5]), 1 / 30)(cosines)
    points = softmax(30 * cosines)
    expected = [[dirichlet.logpdf(q, a[c]) + np.log([0.2, 0.3, 0.5][c]) for c in range(3)] for q in points]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_the_prior_that_is_estimated_is_the_likeliest():
    logs = np.log(np.random.default_rng(0).dirichlet([0.3, 0.6, 1.0], size=300))
    found = estimated_prior(logs)

    def loss(raw):
        return -np.log(softmax(logs) @ softmax(raw)).sum()

    np.testing.assert_allclose(found, softmax(minimize(loss, np.zeros(3)).x), atol=1e-3)


@pytest.mark.parametrize("wrong", [[0.5, 0.6], [1.5, -0.5], [1.0], [np.nan, 1.0], "even", ["a", "b"]])
def test_a_prior_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="prior must"):
        checked_prior(wrong, 2)


def test_frolic_is_fused_at_equal_confidence_and_leaves_no_bias(world):
    images, proxies, _ = world
    moments = sum_images(images)
    gaussians = prompt_gaussians(proxies, moments)
    plain = learn_frolic(images, proxies, moments, 0.01, rounds=0)(images)
    added = plain - 100 * images @ proxies.T
    raw = gaussians(images)
    ratio = (added - added[:, :1])[:, 1:] / (raw - raw[:, :1])[:, 1:]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)
    confidence = [softmax(rows).max(axis=1).mean() for rows in (added, 100 * images @ proxies.T)]
    assert confidence[0] == pytest.approx(confidence[1], abs=1e-6)
    values, vectors = np.linalg.eigh(images.T @ images / 40 - proxies.T @ proxies / 4)
    within = vectors @ np.diag(np.maximum(values, 0)) @ vectors.T
    inverse = 16 * np.linalg.inv(39 * within + np.trace(within) * np.eye(16))
    np.testing.assert_allclose(gaussians.proxies, proxies @ inverse, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (GraphSettings, {"neighbours": 0}),
        (GraphSettings, {"temperature": 0.0}),
        (PropagationSettings, {"alpha": 1.0}),
        (PropagationSettings, {"neighbours": 0}),
        (DirichletSettings, {"rounds": 0}),
        (DirichletSettings, {"temperature": -1.0}),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, wrong):
    with pytest.raises(InputError):
        settings(**wrong)


def gaussian_scores(image, means, spread, count):
    d = len(image)
    precision = d * np.linalg.inv((count - 1) * spread + np.trace(spread) * np.eye(d))
    return [image @ precision @ m - 0.5 * m @ precision @ m for m in means]


def test_two_rounds_of_gda_image_by_image(world):
    images, proxies, _ = world
    text = 100 * images @ proxies.T
    scores = text
    for _ in range(2):
        shares = softmax(scores)
        means = [sum(p * x for p, x in zip(column, images, strict=True)) / column.sum() for column in shares.T]
        spread = sum(
            shares[i, c] * np.outer(images[i] - means[c], images[i] - means[c]) for i in range(40) for c in range(4)
        )
        scores = text + [gaussian_scores(x, means, spread / 40, 40) for x in images]
    found = learn_gda(images, proxies, sum_images(images), 0.01, rounds=2)(images)
    np.testing.assert_allclose(found, scores, rtol=1e-8, atol=1e-8)


def test_adapt_image_by_image(world):
    images, proxies, _ = world
    proxies = np.vstack([proxies, -proxies[:1]])  # a class that no image is given to
    text = 100 * images @ proxies.T
    banks = [
        sorted((i for i in range(40) if text[i].argmax() == c), key=lambda i: -softmax(text[i : i + 1])[0, c])[:3]
        for c in range(5)
    ]
    assert not banks[4]
    means = [0.9 * images[b].mean(axis=0) + 0.1 * t if b else t for b, t in zip(banks, proxies, strict=True)]
    count = sum(map(len, banks))
    spread = sum(np.outer(images[i] - m, images[i] - m) for m, b in zip(means, banks, strict=True) for i in b) / count
    expected = [
        text[i] + gaussian_scores(x, means, spread, count) + [sum(x @ images[j] for j in b) for b in banks]
        for i, x in enumerate(images)
    ]
    found = learn_adapt(images, proxies, 0.01, bank=3)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("settings", [{"bank": 0}, {"image_share": 1.5}, {"image_share": float("nan")}])
def test_settings_of_adapt_without_a_meaning_are_refused(world, settings):
    with pytest.raises(InputError):
        learn_adapt(*world[:2], 0.01, **settings)


def test_gda_needs_a_round(world):
    with pytest.raises(InputError, match="rounds"):
        learn_gda(*world[:2], sum_images(world[0]), 0.01, rounds=0)
