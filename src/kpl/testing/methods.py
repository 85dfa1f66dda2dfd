"""The checks of the contract of methods, each a function of a way to make the method unfitted.

With pytest: `@pytest.mark.parametrize("check", METHOD_CHECKS.values())` and `check(MyMethod)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from kpl.errors import ContractError, FeaturesError, InputError, KplError, NotFittedError
from kpl.methods.contract import Method
from kpl.proxies.arrays import Floats, softmax
from kpl.testing.worlds import Chunked, World, planted

Make = Callable[[], Method]
_CLOSE = 1e-6


def check_method(make: Make) -> list[str]:
    """Try a method on every check and return the names of those passed: all of them.

    Args:
        make: called without arguments, gives a fresh unfitted method each time; a class does.

    Raises:
        ContractError: names every check that failed, and what was seen.

    Example:
        >>> from kpl.methods import CuPL
        >>> class Forgetful(CuPL):
        ...     def predict(self, images):
        ...         return super().predict(images)[:1]
        >>> check_method(Forgetful)
        Traceback (most recent call last):
        ...
        kpl.errors.ContractError: Forgetful breaks the contract of methods:
        ...
    """
    passed, failed = [], []
    for name, check in METHOD_CHECKS.items():
        try:
            check(make)
        except Exception as error:  # whatever a stranger's method raises is what was seen
            failed.append(f"{name}: {error}" if isinstance(error, ContractError) else f"{name}: {error!r}")
        else:
            passed.append(name)
    if failed:
        raise ContractError(f"{type(make()).__name__} breaks the contract of methods:\n  " + "\n  ".join(failed))
    return passed


def _world(make: Make, seed: int = 0, **shape: int) -> World:
    return planted(seed, reads=make().reads, **shape)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ContractError(message)


def _refused(call: Callable[[], object], what: str, *kinds: type[KplError]) -> None:
    try:
        call()
    except kinds:
        return
    except Exception as error:
        raise ContractError(f"{what} raised {error!r}, not one of {[kind.__name__ for kind in kinds]}") from error
    raise ContractError(f"{what} was not refused")


def _close(found: Floats, expected: Floats, what: str) -> None:
    apart = float(np.abs(found - expected).max())
    _require(apart <= _CLOSE, f"{what}: probabilities differ by {apart:.2g}, allowed {_CLOSE:g}")


def _defined(model: Method, images: Floats, n_classes: int) -> Floats:
    """Check what a fitted method says of images, and return its probabilities."""
    probabilities, predicted = model.predict_proba(images), model.predict(images)
    n = len(images)
    _require(probabilities.shape == (n, n_classes), f"probabilities have shape {probabilities.shape}")
    _require(bool(np.isfinite(probabilities).all()), "probabilities are not finite")
    _require(bool((probabilities >= 0).all()), "a probability is below zero")
    off = float(np.abs(probabilities.sum(axis=1) - 1).max())
    _require(off < _CLOSE, f"rows of probabilities sum to one up to {off:.2g} only")
    _close(softmax(model.logits(images)), probabilities, "the softmax of the logits")
    _require(predicted.shape == (n,) and predicted.dtype.kind in "iu", "predictions are not (n,) whole numbers")
    _require(bool(((predicted >= 0) & (predicted < n_classes)).all()), "a prediction is no class index")
    least = float((probabilities.max(axis=1) - probabilities[np.arange(n), predicted]).max())
    _require(least <= _CLOSE, "the predicted class has not the largest probability")
    return probabilities


def _takes_no_labels(make: Make) -> None:
    parameters = list(inspect.signature(make().fit).parameters)
    _require(
        parameters == ["images", "descriptions", "weights"],
        f"fit takes {parameters}: only images, descriptions and weights come in",
    )


def _keeps_settings(make: Make) -> None:
    world, model = _world(make), make()
    settings = model.get_params()
    again = type(model)(**settings)
    _require(
        all(again.get_params()[name] is value for name, value in settings.items()),
        "a constructor does not store its settings as they are given",
    )
    model.fit(world.images, world.texts)
    _require(model.set_params() is model, "set_params does not return the method itself")
    _refused(lambda: model.set_params(no_such_setting=1), "a setting that is none", InputError)
    model.set_params(**settings)
    _refused(lambda: model.predict(world.images), "predicting after set_params", NotFittedError)


def _speaks_as_others(make: Make) -> None:
    world = _world(make)
    _refused(lambda: make().classes_, "classes_ before fit", NotFittedError)
    model = make()
    predicted = model.fit_predict(world.images, world.texts)
    _require(bool((predicted == model.predict(world.images)).all()), "fit_predict is not fit, then predict")
    _require(model.classes_.tolist() == list(range(len(world.texts))), f"classes_ are {model.classes_.tolist()}")
    parameters = list(inspect.signature(model.fit_predict).parameters)
    _require(parameters == ["images", "descriptions", "weights"], f"fit_predict takes {parameters}: as fit")


def _scores_without_learning(make: Make) -> None:
    world = _world(make)
    model = make().fit(world.images, world.texts)
    before = model.predict_proba(world.images)
    predicted = model.predict(world.images)
    _require(model.score(world.images, predicted) == 1.0, "the score of its own predictions is not one")
    model.score(world.images, (predicted + 1) % len(world.texts))
    _close(model.predict_proba(world.images), before, "scoring against labels")


def _array_likes(make: Make) -> None:
    world = _world(make)
    expected = make().fit(world.images, world.texts).predict_proba(world.images)
    lists = [rows.tolist() for rows in world.texts]
    model = make().fit(world.images.tolist(), lists)
    _close(model.predict_proba(world.images.tolist()), expected, "lists in the place of arrays")
    _refused(lambda: make().fit("images", world.texts), "fit on a string", FeaturesError)  # type: ignore[arg-type]
    _refused(lambda: make().fit([["a", "b"]], world.texts), "fit on words", FeaturesError)  # type: ignore[list-item]


def _learns_in_fit(make: Make) -> None:
    world, model = _world(make), make()
    for call in (model.predict, model.predict_proba):
        _refused(lambda call=call: call(world.images), "predicting before fit", NotFittedError)  # type: ignore[misc]
    _require(model.fit(world.images, world.texts) is model, "fit does not return the method itself")
    _defined(model, world.images, len(world.texts))


def _leaves_inputs_alone(make: Make) -> None:
    world = _world(make)
    for rows in (world.images, *world.texts):
        rows.flags.writeable = False
    first = make().fit(world.images, world.texts).predict_proba(world.images)
    _close(make().fit(world.images, world.texts).predict_proba(world.images), first, "the same fit twice")


def _forgets_the_last_fit(make: Make) -> None:
    old, new = _world(make), _world(make, 1, n=40, n_classes=3)
    again = make().fit(old.images, old.texts).fit(new.images, new.texts).predict_proba(new.images)
    _close(again, make().fit(new.images, new.texts).predict_proba(new.images), "fitting again")


def _permuted_images(make: Make) -> None:
    world = _world(make)
    order = np.random.default_rng(0).permutation(len(world.images))
    expected = make().fit(world.images, world.texts).predict_proba(world.images)[order]
    _close(make().fit(world.images[order], world.texts).predict_proba(world.images[order]), expected, "images permuted")


def _permuted_classes(make: Make) -> None:
    world = _world(make)
    order = np.random.default_rng(0).permutation(len(world.texts))
    expected = make().fit(world.images, world.texts).predict_proba(world.images)[:, order]
    texts = [world.texts[c] for c in order]
    _close(make().fit(world.images, texts).predict_proba(world.images), expected, "classes permuted")


def _chunked_sources(make: Make) -> None:
    world = _world(make)
    source = Chunked(world.images, (1, 20, 20))
    expected = make().fit(world.images, world.texts).predict_proba(world.images)
    _close(make().fit(source, world.texts).predict_proba(source), expected, "chunks in the place of an array")


def _weights_of_one(make: Make) -> None:
    world = _world(make)
    source, ones = Chunked(world.images, (1, 20, 20)), np.ones(len(world.images))
    expected = make().fit(source, world.texts).predict_proba(source)
    found = make().fit(source, world.texts, weights=ones).predict_proba(source)
    _require(bool((found == expected).all()), "weights of one are not the same as none")
    for what, spoilt in (("zero", 0 * ones), ("NaN", np.nan * ones), ("too few", ones[1:] / 2)):
        _refused(
            lambda spoilt=spoilt: make().fit(source, world.texts, weights=spoilt),  # type: ignore[misc]
            f"weights: {what}",
            InputError,
        )


def _weighted_images(make: Make) -> None:
    world = _world(make)
    times = 1 + np.arange(len(world.images)) % 3
    again, weights = np.repeat(world.images, times, axis=0), np.repeat(1.0 / times, times)
    if make().unweighted:
        _refused(lambda: make().fit(again, world.texts, weights=weights), "weights", InputError)
        return
    alone = make().fit(world.images, world.texts)
    model = make().fit(again, world.texts, weights=weights)
    apart = float(np.abs(model.predict_proba(world.images) - alone.predict_proba(world.images)).max())
    _require(apart <= 1e-10, f"k equal images of weight 1/k are not one image: probabilities differ by {apart:.2g}")


def _image_by_image(make: Make) -> None:
    world = _world(make)
    model = make().fit(world.images, world.texts)
    expected = model.predict_proba(world.images)[:5]
    alone = np.concatenate([model.predict_proba(world.images[i : i + 1]) for i in range(5)])
    _close(alone, expected, "images predicted one by one")


def _new_images(make: Make) -> None:
    world = _world(make)
    fresh = planted(9, n=7).images
    _defined(make().fit(world.images, world.texts), fresh, len(world.texts))


def _one_shot_sources(make: Make) -> None:
    world = _world(make)
    _refused(lambda: make().fit(iter([world.images]), world.texts), "fit on a one-shot iterator", FeaturesError)
    model = make().fit(world.images, world.texts)
    _refused(lambda: model.predict(iter([world.images])), "predict on a one-shot iterator", FeaturesError)


def _spoilt_images(make: Make) -> None:
    world = _world(make)
    model = make().fit(world.images, world.texts)
    for what, value in (("NaN", np.nan), ("infinity", np.inf), ("a row of zeros", 0.0)):
        spoilt = world.images.copy()
        spoilt[3] = value
        _refused(lambda rows=spoilt: make().fit(rows, world.texts), f"fit on {what}", FeaturesError)  # type: ignore[misc]
        _refused(lambda rows=spoilt: model.predict(rows), f"predict on {what}", FeaturesError)  # type: ignore[misc]
    _refused(lambda: make().fit(world.images[:0], world.texts), "fit on no image", FeaturesError)
    _refused(lambda: model.predict(world.images[:, :-1]), "predict in another dimension", FeaturesError)


def _spoilt_texts(make: Make) -> None:
    world = _world(make)
    for what, value in (("NaN", np.nan), ("a row of zeros", 0.0)):
        spoilt = world.texts[1].copy()
        spoilt[0] = value
        texts = [world.texts[0], spoilt, *world.texts[2:]]
        _refused(lambda t=texts: make().fit(world.images, t), f"{what} among the texts", FeaturesError)  # type: ignore[misc]
    _refused(lambda: make().fit(world.images, world.texts[:1]), "a single class", FeaturesError)
    _refused(lambda: make().fit(world.images, [world.texts[0][:0], *world.texts[1:]]), "no text", FeaturesError)


def _refused_fit(make: Make) -> None:
    world = _world(make)
    model = make().fit(world.images, world.texts)
    _refused(lambda: model.fit(world.images * np.nan, world.texts), "fit on NaN", FeaturesError)
    _refused(lambda: model.fit(world.images, world.texts[:1]), "fit on a single class", FeaturesError)
    _refused(lambda: model.predict(world.images), "predicting after a refused fit", NotFittedError)


def _sizes(n: int, n_classes: int) -> Callable[[Make], None]:
    def check(make: Make) -> None:
        world = _world(make, n=n, n_classes=n_classes, m=2)
        _defined(make().fit(world.images, world.texts), world.images, n_classes)

    return check


def _duplicate_images(make: Make) -> None:
    world = _world(make)
    images = np.concatenate([world.images, world.images])
    found = _defined(make().fit(images, world.texts), images, len(world.texts))
    _close(found[: len(world.images)], found[len(world.images) :], "every image twice")


def _identical_images(make: Make) -> None:
    world = _world(make)
    images = np.repeat(world.images[:1], 30, axis=0)
    found = _defined(make().fit(images, world.texts), images, len(world.texts))
    _close(found, np.broadcast_to(found[:1], found.shape), "images that are all alike")


def _identical_texts(make: Make) -> None:
    world = _world(make)
    texts = [world.texts[0], world.texts[0], *world.texts[2:]]
    _defined(make().fit(world.images, texts), world.images, len(texts))
    _defined(make().fit(world.images, texts[:2]), world.images, 2)


def _priors(make: Make) -> None:
    if not hasattr(make(), "prior"):
        return
    world = _world(make)
    c = len(world.texts)
    for what, prior in (
        ("a prior that sums to two", (2.0 / c,) * c),
        ("a prior of another length", (1.0 / (c + 1),) * (c + 1)),
        ("a prior below zero", (1.5, -0.5, *(0.0,) * (c - 2))),
        ("a prior of NaN", (float("nan"),) * c),
    ):
        _refused(lambda prior=prior: _with_prior(make, prior).fit(world.images, world.texts), what, InputError)  # type: ignore[misc]
    try:
        model = _with_prior(make, (0.0, *(1.0 / (c - 1),) * (c - 1))).fit(world.images, world.texts)
    except InputError:
        return
    _defined(model, world.images, c)
    _require(not (model.predict(world.images) == 0).any(), "a class with a prior of zero was predicted")


def _with_prior(make: Make, prior: tuple[float, ...]) -> Method:
    model = make()
    model.prior = prior  # type: ignore[attr-defined]  # only methods that have one come here
    return model


def _named() -> Iterator[tuple[str, Callable[[Make], None]]]:
    yield "takes no labels", _takes_no_labels
    yield "keeps its settings, and says them", _keeps_settings
    yield "has classes_ and fit_predict", _speaks_as_others
    yield "scores against labels without learning from them", _scores_without_learning
    yield "lists are taken like arrays, words are refused", _array_likes
    yield "learns in fit, and predicts only then", _learns_in_fit
    yield "leaves its inputs alone and draws nothing", _leaves_inputs_alone
    yield "forgets the last fit", _forgets_the_last_fit
    yield "permuted images permute the predictions", _permuted_images
    yield "permuted classes permute the columns", _permuted_classes
    yield "chunks give what an array gives", _chunked_sources
    yield "weights of one are no weights, and spoilt ones are refused", _weights_of_one
    yield "k equal images of weight 1/k are one image, or weights are refused", _weighted_images
    yield "an image scores the same alone and among others", _image_by_image
    yield "images from outside the batch have a result", _new_images
    yield "a one-shot iterator is refused", _one_shot_sources
    yield "images of NaN, infinity or zeros are refused", _spoilt_images
    yield "texts of NaN or zeros, or too few, are refused", _spoilt_texts
    yield "a refused fit leaves nothing to predict with", _refused_fit
    yield "one image", _sizes(1, 4)
    yield "fewer images than classes", _sizes(3, 8)
    yield "two classes", _sizes(30, 2)
    yield "a thousand classes", _sizes(20, 1000)
    yield "every image twice", _duplicate_images
    yield "images that are all alike", _identical_images
    yield "classes with the same texts", _identical_texts
    yield "a prior with zeros, or a wrong one", _priors


METHOD_CHECKS: Mapping[str, Callable[[Make], None]] = dict(_named())
"""What is checked, in words, and the function that checks it."""
