"""Pictures by a sentence or by a picture: the nearest in the encoder's own space."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kpl.embeddings import FeatureFolder, embed_texts, embed_unit, open_features, recorded_encoder
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError
from kpl.proxies.arrays import chunks
from kpl.runs import is_run
from kpl.runs.folder import FEATURES_FOLDER


def search(
    features: str | Path | FeatureFolder, query: str | Path, *, n: int = 12, encoder: str | Encoder | None = None
) -> list[tuple[str, float]]:
    """Return the pictures nearest to a sentence, or to a picture given as a `Path`, with their cosines.

    Of a unit of several pictures the nearest stands for it, and of one that is searched by too.

    Cosines with a sentence and with a picture are not on one scale.

    Args:
        features: a run or a feature folder.
        query: a sentence, or the file of a picture, clip or volume, or the folder of a series.
        n: pictures to return; fewer if there are no more.
        encoder: where the features' encoder is, if not where its name says.

    Raises:
        InputError: an empty sentence, no such picture, n below one.
        FeaturesError: neither a run nor features.
        EncoderError: the encoder is not here, or is another one.
    """
    if n < 1:
        raise InputError(f"at least one picture is searched for, got {n}")
    folder = features if isinstance(features, FeatureFolder) else _opened(Path(features))
    coder = recorded_encoder(folder.index.encoder_name, folder.check_encoder, encoder)
    if isinstance(query, Path):
        wanted = embed_unit(query, coder, folder.asked)
    else:
        if not query.strip():
            raise InputError("nothing to search for: give a sentence, or a picture")
        wanted = embed_texts([[query.strip()]], coder)[0]  # what was searched for is kept nowhere
    cosines = np.concatenate([(chunk @ wanted.T.astype(np.float64)).max(axis=1) for chunk in chunks(folder)])
    best: dict[int, int] = {}
    for row in np.argsort(-cosines, kind="stable").tolist():
        best.setdefault(int(folder.units[row]), row)
        if len(best) == n:
            break
    return [(folder.ids[row], float(cosines[row])) for row in best.values()]


def _opened(path: Path) -> FeatureFolder:
    if not path.exists():
        raise FeaturesError(
            f"no such run or feature folder: {str(path)!r}. Make one with `kpl embed` or `kpl classify`"
        )
    return open_features(path / FEATURES_FOLDER if is_run(path) else path)
