"""A saved model: what a method learnt, with all that is needed to use it, in one safetensors file.

The arrays are those of `Method.state`. The file's own metadata hold one entry, `kpl_model`: JSON that names the method
with its settings, the encoder, the whole knowledge base and what was learnt from, and a SHA-256 over that and over
every array. The file is written under another name and renamed; nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kpl.embeddings import FeatureFolder, embed_picture, embed_unit, recorded_encoder
from kpl.encoders import Encoder, EncoderCard
from kpl.errors import InputError, KnowledgeError, ModelError, OutputError
from kpl.files import write_file
from kpl.images import Asked, Pictures
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.methods import METHODS, Method
from kpl.methods.saving import flatten, restore
from kpl.proxies.arrays import Floats
from kpl.proxies.pooling import DEFAULT_POOL, Pool, centred
from kpl.proxies.sums import ClassSums
from kpl.runs.predictions import Prediction, Predictions
from kpl.runs.warnings import further_keys

VERSION = 1
_KEY = "kpl_model"
_SEEN = "seen"
_AGAIN = "make it again with `kpl fit`"


class Learnt(BaseModel):
    """One lot of pictures that a model learnt from: the hash of their ids and contents, and how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: str
    rows: int


class _Head(BaseModel):
    """What the JSON of the file says; further keys, of a later version, are kept for the hash."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kpl_model: Literal[1] = 1
    method: str
    settings: dict[str, Any]
    encoder: str
    encoder_name: str
    knowledge: str
    """Content hash; the knowledge itself follows."""
    knowledge_base: dict[str, Any]
    learnt_from: tuple[Learnt, ...]
    exact: bool
    arrays: str
    """SHA-256 over names, types, shapes and bytes of all arrays."""


@dataclass
class Model:
    """A fitted method with its encoder and knowledge.

    Attributes:
        method: fitted; it takes features.
        knowledge: the classes and their descriptions.
        encoder: identity of the encoder whose features it takes, "name:hash".
        encoder_name: by which that encoder is loaded.
        learnt_from: the lots of pictures, in order.
        exact: False once an update made the model another than a fit on all pictures at once.
        notes: what to know of the file that it was read from.
        seen: sums of the pictures learnt from by the class that the model gives them; None in a model of an earlier
            version.
    """

    method: Method
    knowledge: KnowledgeBase
    encoder: str
    encoder_name: str
    learnt_from: tuple[Learnt, ...]
    exact: bool = True
    notes: list[str] = field(default_factory=list, repr=False, compare=False)
    seen: ClassSums | None = field(default=None, repr=False, compare=False)
    _coder: Encoder | None = field(default=None, repr=False)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The classes' keys, in the order of the probabilities."""
        return tuple(entry.key for entry in self.knowledge.classes)

    @property
    def sha256(self) -> str:
        """What the model is, as one hash."""
        return hashlib.sha256(_head(self, self.arrays()).model_dump_json().encode()).hexdigest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that was learnt, by name.

        Raises:
            ModelError: the method can only judge the batch at hand.
        """
        return {**self.method.state(), **dict(flatten(_SEEN, self.seen))}

    def loaded_encoder(self, name: str | Encoder | None = None) -> Encoder:
        """Return the model's own encoder, loaded once.

        Args:
            name: where it is, if not where its name says; or itself.

        Raises:
            ModelError: it is another encoder than the one the model was fitted with.
        """
        if self._coder is None or name is not None:
            self._coder = recorded_encoder(self.encoder_name, self.check_encoder, name)
        return self._coder

    def card_by(self, name: str | Encoder | None) -> Callable[[], EncoderCard]:
        """Return what gives the card of the model's own encoder, which is loaded only then; see `loaded_encoder`."""
        return lambda: self.loaded_encoder(name).card

    def check_encoder(self, identity: str) -> None:
        """Refuse features of another encoder.

        Raises:
            ModelError: the identity is not the model's.
        """
        if identity != self.encoder:
            raise ModelError(
                f"the model was fitted on features of {self.encoder}, these are of {identity}: use that encoder, "
                "or fit another model"
            )

    def encoder_for(self, features: FeatureFolder | None, name: str | Encoder | None = None) -> Encoder:
        """Return the model's encoder, if the features, where there are some already, are of it."""
        if features is not None:
            self.check_encoder(features.encoder)
        return self.loaded_encoder(name)

    def check_knowledge(self, knowledge: KnowledgeBase) -> None:
        """Refuse another knowledge base.

        Raises:
            ModelError: it says something else than the one that the model was fitted with.
        """
        if knowledge.content_hash() != self.knowledge.content_hash():
            raise ModelError(
                f"the model was fitted with other knowledge ({self.knowledge.task.name!r}, "
                f"{self.knowledge.content_hash()[:12]}) than {knowledge.task.name!r} "
                f"({knowledge.content_hash()[:12]}): leave the knowledge out, or fit another model"
            )

    @overload
    def predict(self, picture: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...
    @overload
    def predict(self, picture: Pictures) -> Prediction: ...
    def predict(self, picture: Pictures) -> Prediction | list[Prediction]:
        """Say what one picture shows, or each of a list. The encoder is loaded for the first.

        Args:
            picture: a file by its path, or a picture in memory, see `kpl.images.find_given`; or a list of these. A
                clip, a volume, or the folder of a series is said by what its slices or frames say together.

        Raises:
            PictureError: the file cannot be read.
            EncoderError, ModelError: the model's encoder is not here, or is another.
        """
        if isinstance(picture, list | tuple):
            return [self._predict(each) for each in picture]
        return self._predict(picture)

    def _predict(self, picture: Pictures) -> Prediction:
        given, encoder = Path(picture) if isinstance(picture, str) else picture, self.loaded_encoder()
        if not isinstance(given, Path):
            return Predictions.of_logits(["picture"], self.keys, self.method.logits(embed_picture(given, encoder)))[0]
        rows = embed_unit(given, encoder, Asked(ct_window=self.knowledge.task.window))
        return Predictions.of_logits([given.name], self.keys, self.pooled(self.method.logits(rows)))[0]

    def pooled(self, logits: Floats, *, apart: bool = False) -> Floats:
        """Return (1, C) log probabilities of a unit, of those (m, C) of what was read of it; `apart` see `Pooling`."""
        task = self.knowledge.task
        pool = Pool("mean" if task.finding == "everywhere" else DEFAULT_POOL)
        return logits if len(logits) == 1 else pool(logits if apart else centred(logits), [len(logits)])

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model; see `save_model`."""
        save_model(self, path, overwrite=overwrite)


def save_model(model: Model, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a model to one file, whole or not at all. The same model gives the same bytes.

    Raises:
        OutputError: the file exists and is not to be replaced, is no model, or cannot be written.
        InputError: the method has nothing that could be saved.
    """
    path = Path(path)
    check_target(path, overwrite=overwrite)
    state = model.arrays()
    write_file(path, save(state, {_KEY: _head(model, state).model_dump_json()}))


def check_folder(path: Path) -> None:
    """Refuse a file whose folder does not exist.

    Raises:
        OutputError: there is no such folder.
    """
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a target before any work is done.

    Raises:
        OutputError: it exists and must not be replaced; or its folder does not exist.
    """
    check_folder(path)
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise OutputError(f"{str(path)!r} exists: give another name, or replace that model with --overwrite")
        if not is_model(path):
            raise OutputError(f"{str(path)!r} exists and is no model of KPL: it is not replaced; give another name")


def load_model(path: str | Path, *, encoder: str | Encoder | None = None) -> Model:
    """Read a model and check it against its own hash.

    Args:
        path: what `kpl fit` wrote.
        encoder: where the model's encoder is, if not where its name says; loaded and checked at once.

    Raises:
        ModelError: it is missing, damaged, of another version, no model, or another encoder's.
    """
    path = Path(path)
    said, arrays = _read(path)
    method = METHODS.get(said.method)
    if method is None:
        raise ModelError(f"{str(path)!r} is of the method {said.method!r}, which is not known here: update KPL")
    try:
        knowledge = KnowledgeBase.model_validate(said.knowledge_base)
        settings = {key: tuple(v) if isinstance(v, list) else v for key, v in said.settings.items()}
        fitted = method.from_state(arrays, **settings)
        seen: ClassSums | None = restore(_SEEN, ClassSums | None, arrays)
        if seen and (seen.mass.shape, seen.weighted.shape) != ((shape := fitted.text_.proxies.shape)[:1], shape):
            raise ValueError("sums of other classes")
    except (ValidationError, KnowledgeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{str(path)!r} does not hold what method {said.method!r} needs here: {_AGAIN}") from error
    model = Model(
        fitted,
        knowledge,
        said.encoder,
        said.encoder_name,
        said.learnt_from,
        said.exact,
        further_keys("model", said.model_extra or ()),
        seen,
    )
    if encoder is not None:
        model.loaded_encoder(encoder)
    return model


def known_base(given: str | Path | Mapping[str, Any] | KnowledgeBase | None, model: Model | None) -> KnowledgeBase:
    """Return the knowledge that is given, or a model's own.

    Raises:
        InputError: there is neither.
        ModelError: the model was fitted with other knowledge than is given.
    """
    if given is None:
        if model is None:
            raise InputError("neither knowledge nor a model was given: name one with --knowledge or --model")
        return model.knowledge
    base = load_knowledge(given)
    if model:
        model.check_knowledge(base)
    return base


def is_model(path: str | Path) -> bool:
    """Say whether a file is a model, of any version, without reading its arrays."""
    try:
        with safe_open(path, framework="numpy") as file:
            return _KEY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _read(path: Path) -> tuple[_Head, dict[str, NDArray[Any]]]:
    """Read the file and compare the hash."""
    try:
        there = path.is_file()
    except (OSError, ValueError) as error:  # a name that is too long, or that no file can have
        raise ModelError(f"no such model: {str(path)[:200]!r} ({getattr(error, 'strerror', error)})") from error
    if not there:
        raise ModelError(f"no such model: {str(path)!r}. Make one with `kpl fit`")
    if not os.access(path, os.R_OK):
        raise ModelError(f"cannot read {str(path)!r}: permission is missing")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            arrays = {name: file.get_tensor(name) for name in file.keys()} if text else {}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{str(path)!r} is no model, or a damaged one: {_AGAIN}") from error
    if text is None:
        raise ModelError(f"{str(path)!r} is a safetensors file but no model of KPL: {_AGAIN}")
    try:
        version = json.loads(text)[_KEY]
        if version != VERSION:
            raise ModelError(
                f"{str(path)!r} is a model of version {version}, this KPL reads version {VERSION}: {_AGAIN}"
            )
        said = _Head.model_validate_json(text)
    except (ValueError, KeyError, TypeError) as error:  # pydantic's error is a ValueError
        raise ModelError(f"{str(path)!r} is a damaged model: {_AGAIN}") from error
    whole = said.model_copy(update={"arrays": _hash(said, arrays)})
    if whole.arrays != said.arrays:
        raise ModelError(f"{str(path)!r} was changed after it was written (its hash differs): {_AGAIN}")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"{str(path)!r} holds numbers that are not finite, in {name[:80]!r}: {_AGAIN}")
    return said, arrays


def _head(model: Model, state: Mapping[str, NDArray[Any]]) -> _Head:
    method = model.method
    said = _Head(
        method=method.name,
        settings=method.get_params(),
        encoder=model.encoder,
        encoder_name=model.encoder_name,
        knowledge=model.knowledge.content_hash(),
        knowledge_base=model.knowledge.model_dump(mode="json", exclude_none=True),
        learnt_from=model.learnt_from,
        exact=model.exact,
        arrays="",
    )
    return said.model_copy(update={"arrays": _hash(said, state)})


def _hash(said: _Head, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hash everything that the file says, and every array with its name, type and shape."""
    digest = hashlib.sha256(said.model_copy(update={"arrays": ""}).model_dump_json().encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
