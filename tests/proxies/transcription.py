"""The mathematics of this room once more: slow, in the plainest numpy, from the formulas alone; it imports no kpl."""

from __future__ import annotations

import numpy as np


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return np.array([row / np.sqrt(np.sum(row * row)) for row in rows])


def log_sum_exp(values, axis):
    top = np.max(values, axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.sum(np.exp(values - top), axis=axis))


def softmax(logits):
    return np.exp(logits - log_sum_exp(logits, 1)[:, None])


def text_proxies(images, descriptions, k):
    """s(e) = mean_i x_i . e; the k largest of each class; t_c = normalise(mean of those)."""
    proxies = []
    for rows in descriptions:
        scored = sorted(range(len(rows)), key=lambda j: -np.mean(images @ rows[j]))
        proxies.append(np.mean([rows[j] for j in scored[:k]], axis=0))
    return unit(proxies)


def image_scores(images, descriptions, k):
    """Each image against the normalised mean of its own k best descriptions of each class."""
    scores = np.zeros((len(images), len(descriptions)))
    for i, x in enumerate(images):
        for c, rows in enumerate(descriptions):
            best = sorted(range(len(rows)), key=lambda j: -(x @ rows[j]))[:k]
            mean = np.sum(rows[best], axis=0) / len(best)
            scores[i, c] = x @ mean / np.sqrt(mean @ mean)
    return scores


def log_transport(logits, temperature, rows, columns, sweeps):
    """Sinkhorn in logarithms; columns without mass are left out and come back as zeros."""
    held = columns > 0
    log_kernel, log_rows, log_columns = logits[:, held] / temperature, np.log(rows), np.log(columns[held])
    g = np.zeros(held.sum())
    for _ in range(sweeps):
        f = log_rows - log_sum_exp(log_kernel + g, 1)
        g = log_columns - log_sum_exp(log_kernel + f[:, None], 0)
    f = log_rows - log_sum_exp(log_kernel + g, 1)
    plan = np.zeros(logits.shape)
    plan[:, held] = np.exp(log_kernel + f[:, None] + g)
    return plan


def released_transport(log_probabilities, updates):
    """Stable Greenkhorn as released: rows start with sum 1 and aim at 1/n; |sum - target| chooses, ties to rows."""
    n, n_classes = log_probabilities.shape
    f, g = np.zeros(n), np.zeros(n_classes)
    for _ in range(updates):
        plan = np.exp(log_probabilities + f[:, None] + g)
        row_off, column_off = abs(plan.sum(1) - 1 / n), abs(plan.sum(0) - 1 / n_classes)
        if row_off.max() >= column_off.max():
            i = row_off.argmax()
            f[i] = -np.log(n) - log_sum_exp(log_probabilities[i] + g, 0)
        else:
            j = column_off.argmax()
            g[j] = -np.log(n_classes) - log_sum_exp(log_probabilities[:, j] + f, 0)
    return np.exp(log_probabilities + f[:, None] + g)


def descent(images, start, target, tau, rate, steps):
    """G = X^T softmax(X W / tau) - B; ||G|| grew: halve lr; W <- normalise(W - lr / (n tau) G)."""
    base, proxies, before = images.T @ target, start.T, np.inf
    for _ in range(steps):
        gradient = images.T @ softmax(images @ proxies / tau) - base
        size = np.sqrt(np.sum(gradient**2))
        if size > before:
            rate = rate / 2
        before = size
        proxies = proxies - rate / (len(images) * tau) * gradient
        proxies = proxies / np.sqrt(np.sum(proxies**2, axis=0))
    return proxies.T


def official(images, texts, steps, *, updates=20, alpha=0.6, tau_t=0.01, tau_i=0.04, rate=10.0):
    logits = images @ texts.T / tau_t
    pseudo = released_transport(logits - log_sum_exp(logits, 1)[:, None], updates)
    for i, row in enumerate(pseudo):
        if row.max() > alpha:
            pseudo[i] = np.eye(len(texts))[row.argmax()]
    return descent(images, texts, pseudo, tau_i, rate, steps)


def soft_class_means(images, texts, tau):
    p = softmax(images @ texts.T / tau)
    return np.array([sum(p[i, c] * x for i, x in enumerate(images)) / p[:, c].sum() for c in range(len(texts))])


def ridge_scores(images, texts, tau, ridge, *, intercept, log_prior):
    """x^T M b_c, M = (X^T X / n + lambda I)^-1; with the intercept -1/2 b_c^T M b_c; plus the log prior."""
    n, d = images.shape
    inverse = np.linalg.inv(sum(np.outer(x, x) for x in images) / n + ridge * np.eye(d))
    means = soft_class_means(images, texts, tau)
    extra = [-0.5 * b @ inverse @ b if intercept else 0.0 for b in means]
    return images @ inverse @ means.T + extra + log_prior


def anchored_scores(images, texts, *, tau, weight, kappa, ridge, rounds, few=4.0):
    """Text-anchored class models, image by image and in the images' own coordinates: (n, C) scores and the prior."""
    n, d = images.shape
    s = 1 / (1 + (n / (few * len(texts))) ** 3) if few else 0.0
    cosines = images @ texts.T
    p = share = softmax(cosines / tau)
    mean_image = images.mean(0)
    anchors = mean_image + texts - texts.mean(0)
    variance = np.mean([(x - mean_image) @ (x - mean_image) for x in images])
    for done in range(1, rounds + 1):
        mass = p.sum(0)
        means = (p.T @ images + kappa * anchors) / (mass + kappa)[:, None]
        within = np.zeros((d, d))
        for c, m in enumerate(means):
            off = images - m
            within += off.T @ (p[:, c, None] * off) / n
        inverse = np.linalg.inv(within + ridge * variance / np.sqrt(n) * np.eye(d))
        text = weight * (images - means.mean(0)) @ texts.T / tau
        prior = (mass + 3 * s) / (n + 3 * s * len(texts))
        scores, far = np.zeros(p.shape), np.full((n, len(texts)), np.inf)
        for i, x in enumerate(images):
            own = np.minimum(share[i], (mass + kappa) / 2) if done < rounds else np.zeros(len(texts))
            for c, m in enumerate(means):
                without = ((mass[c] + kappa) * m - own[c] * x) / (mass[c] + kappa - own[c])
                fit = x @ inverse @ without - 0.5 * without @ inverse @ without
                scores[i, c] = fit + text[i, c] + np.log(prior[c])
                far[i, c] = (x - without) @ inverse @ (x - without)
        learnt = (1 - s) / (1 + (far.min(1, keepdims=True) / (2 * np.trace(inverse @ within))) ** 8)
        p = (1 - learnt) * share + learnt * softmax(scores)
    return scores, prior
