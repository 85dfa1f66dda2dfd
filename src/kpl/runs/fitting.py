"""Learning once and using it later: fit a model on pictures, and teach it more pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder, TextCache, embed_texts, encoder_identity, open_features
from kpl.encoders import Encoder
from kpl.errors import AlreadyThereError, InputError, ModelError
from kpl.files import working_folder
from kpl.images import Asked, Pictures
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.methods import KPL, METHODS, Method, as_method, make_method
from kpl.progress import Progress, silent
from kpl.proxies.arrays import Floats, chunks, softmax
from kpl.proxies.condensed import Condensed
from kpl.proxies.passes import Spread
from kpl.proxies.site import nobodys, sums_by_class
from kpl.proxies.sums import ClassSums
from kpl.runs.models import Learnt, Model, check_folder, check_target, load_model, save_model
from kpl.runs.source import Source, card_of
from kpl.runs.spread import spread
from kpl.runs.texts import wanted_prompts
from kpl.runs.units import Pooling, fit_on

_FEATURES = "features"


def fit(
    inputs: Pictures,
    *,
    knowledge: str | Path | Mapping[str, Any] | KnowledgeBase,
    out: str | Path,
    encoder: str | Encoder | None = None,
    method: str | Method = "kpl",
    settings: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    asked: Asked | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    on: Literal["ray"] | None = None,
    address: str | None = None,
) -> Model:
    """Learn from unlabelled pictures and save what was learnt.

    A run over the same pictures predicts the same, bit for bit, as this model does on their features.

    Args:
        inputs: folders and files of pictures, or one feature folder of `kpl embed`.
        knowledge: a file, a pack's name, or a knowledge base.
        out: the file to write.
        encoder, method, settings, batch_size, workers, asked: as in `classify`.
        overwrite: replace an earlier model.
        progress: called while pictures are embedded.
        on: who adds up: this process, or the workers of a cluster of Ray, which see the same features.
        address: of the cluster's head, host:port; None starts Ray on this machine alone.

    Raises:
        AlreadyThereError: `out` is this very model.
        ModelError: the method can only judge the batch at hand.
        KplError: as `classify`; nothing is half-written.
    """
    out, tell = Path(out), progress or silent
    refuse_batch_methods(method if isinstance(method, str) else method.name)
    check_folder(out)
    base = load_knowledge(knowledge)
    source = Source.of(inputs, batch_size, workers, asked, base.task, card=partial(card_of, encoder), progress=progress)
    _check_spread(on, source)
    coder = source.encoder(encoder, base)
    heat = {"temperature": 1.0 / coder.logit_scale} if isinstance(method, str) else {}
    chosen = as_method(method, **{**heat, **(settings or {})})
    with working_folder(out, keep=(_FEATURES,)) as work:
        if not overwrite and out.exists() and _is_of(out, source, coder, chosen, base):
            raise AlreadyThereError(out)
        check_target(out, overwrite=overwrite)
        own = work / _FEATURES
        features = source.folder or source.features(coder, own, lambda done, total: tell("pictures", done, total))
        texts = embed_texts(wanted_prompts(chosen, base), coder, cache=TextCache())
        weights = fit_on(chosen, features)
        with nullcontext(features) if on is None else spread(features, address) as rows:
            chosen.fit(rows, texts, weights=weights)
            seen = _seen(chosen, rows, weights)
        lot = Learnt(pictures=features.index.pictures_sha256, rows=len(features.of_units.sizes))
        model = Model(chosen, base, encoder_identity(coder), coder.card.name, (lot,), seen=nobodys(seen))
        save_model(model, out, overwrite=overwrite)
    return model


def refuse_batch_methods(name: str) -> None:
    """Refuse a method whose type says that it judges a batch as a whole.

    Raises:
        ModelError: it leaves nothing that new images could be judged by.
        UnknownNameError: no such method.
    """
    if name not in METHODS:
        make_method(name)  # says which name was meant
    if why := METHODS[name].batch_only:
        usable = ", ".join(known for known, kind in METHODS.items() if not kind.batch_only)
        raise ModelError(f"method {name!r} cannot be saved: {why}. Fit one of {usable}")


def _is_of(path: Path, source: Source, encoder: Encoder, method: Method, base: KnowledgeBase) -> bool:
    """Say whether a file is the model that a fit of these comes to."""
    try:
        there = load_model(path)
    except ModelError:
        return False
    same = (there.encoder, there.knowledge.content_hash()) == (encoder_identity(encoder), base.content_hash())
    if not same or type(there.method) is not type(method) or len(there.learnt_from) != 1:
        return False
    if there.method.get_params() != method.get_params():
        return False
    return there.learnt_from[0].pictures == source.pictures_hash(encoder)


@dataclass(frozen=True)
class Drift:
    """How far an updated model is from one fitted on all its pictures at once.

    Attributes:
        n: pictures or units compared, the earlier ones and the new.
        changed: share of them whose class differs.
        mean: mean over pictures of the largest difference in any probability.
        largest: the largest such difference.
    """

    n: int
    changed: float
    mean: float
    largest: float


@dataclass(frozen=True)
class Update:
    """What an update came to.

    Attributes:
        model: updated.
        added: new pictures, or units of several.
        exact: whether the model is that of a fit on all pictures at once, up to rounding.
        drift: measured if the earlier features were given.
        moved: share of the earlier pictures that get another class now, by their groups; None where the method keeps
            none.
    """

    model: Model
    added: int
    exact: bool
    drift: Drift | None = None
    moved: float | None = None


def update(
    model: str | Path,
    inputs: Pictures,
    *,
    out: str | Path | None = None,
    against: Sequence[str | Path] = (),
    encoder: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    on: Literal["ray"] | None = None,
    address: str | None = None,
) -> Update:
    """Teach a saved model more pictures, without those that it learnt from.

    `kpl` runs its rounds again, on the new pictures and the groups that it kept of the earlier ones: close to a fit on
    all, in whatever order pictures come. The result is exact for methods that need one pass, if all pictures together
    would retrieve the same descriptions; else it is approximate, and says so.

    Args:
        model: the file; it is replaced, unless `out` names another.
        inputs: new pictures, or one feature folder of them.
        out: where to write the updated model.
        against: feature folders of all earlier pictures, to measure how far the result is from a fit on all.
        encoder: where the model's encoder is, if not where its name says.
        overwrite: replace a model at `out`.
        progress: called while pictures are embedded.
        on, address: as for `fit`; `against` is read by this process.

    Raises:
        AlreadyThereError: the model learnt from these pictures last, or `out` is this very update.
        ModelError: these pictures were learnt from already, or `against` is not what the model learnt from.
        InputError: the method cannot learn from images one after the other.
        KplError: as `fit`; the earlier model stays as it was.
    """
    old, target, tell = load_model(model), Path(out or model), progress or silent
    check_folder(target)
    in_place, earlier, source = (
        target == Path(model),
        _opened(against),
        Source.of(inputs, task=old.knowledge.task, card=old.card_by(encoder), progress=progress),
    )
    _check_spread(on, source)
    coder = old.encoder_for(source.folder, encoder)
    with working_folder(target, keep=(_FEATURES,)) as work:
        old = load_model(model)  # as it is now that nobody else writes it
        if not in_place:
            if not overwrite and target.exists() and _is_update_of(target, old, source.pictures_hash(coder)):
                raise AlreadyThereError(target)
            check_target(target, overwrite=overwrite)
        own = work / _FEATURES
        features = source.folder or source.features(coder, own, lambda done, total: tell("pictures", done, total))
        lot = Learnt(pictures=features.index.pictures_sha256, rows=len(features.of_units.sizes))
        if in_place and lot in old.learnt_from[1:][-1:]:  # the last update, asked for again
            raise AlreadyThereError(target)
        _check_earlier(old, earlier)
        if lot in old.learnt_from:
            raise ModelError(f"the model learnt from these {lot.rows} pictures already: give it new ones")
        groups = old.method.groups_ if isinstance(old.method, KPL) else None
        before = old.method.predict(groups.means) if groups else None
        weights = fit_on(old.method, features)
        with nullcontext(features) if on is None else spread(features, address) as rows:
            exact = old.method.update(rows, weights=weights)
            more = _seen(old.method, rows, weights) if old.seen else None
        moved = _moved(old.method, groups, before) if groups and before is not None else None
        seen = nobodys(old.seen.merge(more)) if old.seen and more else None
        new = Model(old.method, old.knowledge, old.encoder, old.encoder_name, (*old.learnt_from, lot), exact, seen=seen)
        drift = _drift(new.method, [*earlier, features]) if earlier else None
        save_model(new, target, overwrite=True)
    return Update(new, lot.rows, exact, drift, moved)


def _check_spread(on: str | None, source: Source) -> None:
    if on is not None and source.folder is None:
        raise InputError("a cluster learns from features: embed first, kpl embed SCANS/ --out features/ --on ray")


def _seen(method: Method, rows: FeatureFolder | Spread, weights: Floats | None) -> ClassSums:
    return sums_by_class(rows, method.predict, len(method.text_.proxies), weights)


def _moved(method: Method, groups: Condensed, before: NDArray[np.intp]) -> float:
    return float(groups.weights[method.predict(groups.means) != before].sum() / groups.weights.sum())


def _is_update_of(path: Path, old: Model, pictures: str) -> bool:
    """Say whether a file is the model that this update of `old` comes to."""
    try:
        there = load_model(path)
    except ModelError:
        return False
    same = (there.encoder, there.knowledge.content_hash()) == (old.encoder, old.knowledge.content_hash())
    return same and there.learnt_from[:-1] == old.learnt_from and there.learnt_from[-1].pictures == pictures


def _opened(against: str | Path | Sequence[str | Path]) -> list[FeatureFolder]:
    return [open_features(path) for path in ([against] if isinstance(against, str | Path) else against)]


def _check_earlier(model: Model, earlier: Sequence[FeatureFolder]) -> None:
    if not earlier:
        return
    for folder in earlier:
        model.check_encoder(folder.encoder)
    given = {folder.index.pictures_sha256 for folder in earlier}
    learnt = {lot.pictures for lot in model.learnt_from}
    if given != learnt:
        raise ModelError(
            f"the model learnt from {sum(lot.rows for lot in model.learnt_from)} pictures in {len(learnt)} lots, and "
            f"the earlier features are {len(given & learnt)} of these and {len(given - learnt)} others: give exactly "
            "the lots it learnt from"
        )


@dataclass(frozen=True)
class _Together:
    """Several feature folders as one re-iterable source."""

    folders: Sequence[FeatureFolder]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for folder in self.folders:
            yield from folder


def _said(method: Method, folder: FeatureFolder) -> Floats:
    """Return what a method says of the units of a folder, (n, C)."""
    return softmax(np.concatenate(list(Pooling(folder).pooled(map(method.logits, chunks(folder))))))


def _drift(updated: Method, folders: Sequence[FeatureFolder]) -> Drift:
    """Fit the same method on everything and compare what the two say."""
    everything = _Together(folders)
    weights = [np.ones(f.n) if f.weights is None else f.weights for f in folders if not updated.unweighted]
    alike = not weights or all((each == 1).all() for each in weights)
    whole = replace(updated).fit(everything, updated.texts(), weights=None if alike else np.concatenate(weights))
    found, wanted = (np.concatenate([_said(method, folder) for folder in folders]) for method in (updated, whole))
    gaps = np.abs(found - wanted).max(axis=1)
    changed = float(np.mean(found.argmax(axis=1) != wanted.argmax(axis=1)))
    return Drift(len(gaps), changed, float(gaps.mean()), float(gaps.max()))
