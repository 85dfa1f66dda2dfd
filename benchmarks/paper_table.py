"""The paper's table on a user's own machine: every set that is there, every method, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder, TextCache, embed_pictures, embed_texts, encoder_identity
from kpl.encoders import Encoder, load_encoder
from kpl.errors import EncoderError, InputError, KnowledgeError, LabelsError, UnknownNameError
from kpl.evaluation import Predicted, Resampling, Table, compare
from kpl.images import Instance
from kpl.knowledge import KnowledgeBase, check_tokens, load_knowledge, pack_names
from kpl.methods import METHODS, Method, make_method
from kpl.runs.texts import wanted_prompts
from paper_sets import PAPER_SETS, LabelledPicture, PaperSet

__all__ = ["SetResult", "bench_paper"]


@dataclass(frozen=True)
class SetResult:
    """What came of one data set.

    Attributes:
        paper_set: which, with where it is to be had and the released figures.
        table: scores with intervals; None where the set was not scored.
        missing: why not, and what to do.
        notices: what was left out, in plain words.
    """

    paper_set: PaperSet
    table: Table | None = None
    missing: str | None = None
    notices: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the figures for `json.dump`."""
        told = self.paper_set
        return {
            "title": told.title,
            "where": told.where,
            "terms": told.terms,
            "released_log": [{"backbone": r.backbone, "at": r.at, "best": r.best} for r in told.released],
            "missing": self.missing,
            "notices": list(self.notices),
            "methods": self.table.to_json() if self.table else None,
        }


def _silent(*_: object) -> None:
    """Report progress to nobody."""


def bench_paper(
    data: str | Path,
    *,
    encoder: str | Encoder,
    knowledge: str | Path | None = None,
    features: str | Path | None = None,
    sets: Sequence[str] = (),
    methods: Sequence[str] = (),
    replicates: int = 2000,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[SetResult]:
    """Score methods on those data sets of the paper that are there.

    Args:
        data: the folder in which each set has its folder.
        encoder: its name, or one that is loaded.
        knowledge: a folder of `KEY.yaml` or `KEY.json` files that stand in for the shipped packs.
        features: where features are kept, so that an interrupted run goes on; None takes `kpl-features` in `data`.
        sets: keys; empty takes all.
        methods: registry names; empty takes all.
        replicates: bootstrap replicates of the intervals.
        progress: told the stage, how much is done, and how much there is.

    Raises:
        InputError: no such folder, or an unknown set or method.
        OutputError: features cannot be written.
    """
    data = Path(data)
    if not data.is_dir():
        raise InputError(f"no such folder: {str(data)!r}. Give the folder in which the data sets lie")
    known = {each.key: each for each in PAPER_SETS}
    if unknown := [key for key in sets if key not in known]:
        raise UnknownNameError("data set of the paper", unknown[0], known)
    for name in methods or METHODS:
        make_method(name)
    coder = load_encoder(encoder) if isinstance(encoder, str) else encoder
    job = _Job(
        data,
        coder,
        Path(knowledge) if knowledge is not None else None,
        Path(features) if features is not None else data / "kpl-features",
        tuple(methods or METHODS),
        replicates,
        progress or _silent,
    )
    return [job.tried(known[key]) for key in sets or known]


@dataclass(frozen=True)
class _Job:
    data: Path
    encoder: Encoder
    knowledge: Path | None
    cache: Path
    methods: tuple[str, ...]
    replicates: int
    tell: Callable[[str, int, int], None]

    def tried(self, told: PaperSet) -> SetResult:
        """Score a set; one that cannot be used says why and stops no other."""
        try:
            return self.score(told)
        except (InputError, EncoderError) as error:
            return SetResult(told, missing=f"not scored: {error}")

    def score(self, told: PaperSet) -> SetResult:
        folder = told.find(self.data)
        if folder is None:
            names = " or ".join(told.folders[:2])
            return SetResult(told, missing=f"absent: no folder {told.key} ({names}). {told.where} ({told.terms})")
        base = self._base(told)
        if base is None:
            return SetResult(
                told,
                missing=f"no knowledge for it: write {told.key}.yaml for its classes and name its folder (--knowledge)",
            )
        pictures = told.read(folder)
        if not base.names_only:
            check_tokens(base, self.encoder.count_tokens, self.encoder.context_length)
        truth, notices = _truth(pictures, base, told)
        rows = self._features(told, folder, pictures)
        of = {picture.id: label for picture, label in zip(_records(folder, pictures), truth.tolist(), strict=True)}
        kept = np.array([of[name] for name in rows.ids], dtype=np.int64)
        if rows.set_aside:
            notices.append(f"{len(rows.set_aside)} pictures could not be read")
        if told.log_pictures and rows.n != told.log_pictures:
            notices.append(f"{rows.n} pictures here, the released figures are of {told.log_pictures}: they differ")
        results = self._results(told, base, rows, notices)
        if not results:
            return SetResult(told, missing="no method could be used: " + "; ".join(notices))
        table = compare(kept, results, n_classes=len(base.classes), groups=None, resampling=Resampling(self.replicates))
        return SetResult(told, table, notices=tuple(notices))

    def _base(self, told: PaperSet) -> KnowledgeBase | None:
        for suffix in (".yaml", ".yml", ".json"):
            if self.knowledge and (path := self.knowledge / f"{told.key}{suffix}").is_file():
                return load_knowledge(path)
        return load_knowledge(told.pack) if told.pack in pack_names() and told.pack else None

    def _features(self, told: PaperSet, folder: Path, pictures: Sequence[LabelledPicture]) -> FeatureFolder:
        name, _, digest = encoder_identity(self.encoder).rpartition(":")
        out = self.cache / f"{told.key}-{name}-{digest}".replace("/", "-")
        records = _records(folder, pictures)
        return embed_pictures(
            records,
            self.encoder,
            out,
            overwrite=True,
            progress=lambda done, total: self.tell(f"{told.key}: pictures", done, total),
        )

    def _results(
        self, told: PaperSet, base: KnowledgeBase, rows: FeatureFolder, notices: list[str]
    ) -> Mapping[str, Predicted]:
        results: dict[str, Predicted] = {}
        left_out: dict[str, list[str]] = {}
        for number, name in enumerate(self.methods):
            self.tell(f"{told.key}: methods", number, len(self.methods))
            method = make_method(name, temperature=1.0 / self.encoder.logit_scale)
            try:
                method.fit(rows, embed_texts(_prompts(method, base), self.encoder, cache=TextCache()))
            except (InputError, KnowledgeError) as error:
                left_out.setdefault(str(error), []).append(name)
                continue
            results[name] = Predicted.of_logits(method.logits(rows))
        self.tell(f"{told.key}: methods", len(self.methods), len(self.methods))
        notices += [f"left out: {', '.join(names)}: {why}" for why, names in left_out.items()]
        return results


def _prompts(method: Method, base: KnowledgeBase) -> list[list[str]]:
    if method.reads == "names":  # a list of class names without descriptions has these
        return [[prompt] for prompt in base.name_prompts()]
    return wanted_prompts(method, base)


def _records(folder: Path, pictures: Sequence[LabelledPicture]) -> list[Instance]:
    return [Instance(each.path.relative_to(folder).as_posix(), each.path) for each in pictures]


def _truth(
    pictures: Sequence[LabelledPicture], base: KnowledgeBase, told: PaperSet
) -> tuple[NDArray[np.int64], list[str]]:
    """Resolve the labels, and say which classes the knowledge does not have."""
    index = {label: base.resolve(label) for label in {each.label for each in pictures}}
    unknown = Counter(each.label for each in pictures if index[each.label] is None)
    if len(unknown) == len(index):
        raise LabelsError(
            f"{told.key}: none of its {len(index)} classes ({', '.join(sorted(unknown)[:3])}) is in the knowledge "
            f"{base.task.name!r}: add them as aliases"
        )
    notices = []
    if unknown:
        names = ", ".join(repr(label) for label, _ in unknown.most_common(3))
        notices.append(f"not scored, class not in the knowledge: {unknown.total()} pictures ({names})")
    found = [index[each.label] for each in pictures]
    return np.array([-1 if place is None else place for place in found], dtype=np.int64), notices
