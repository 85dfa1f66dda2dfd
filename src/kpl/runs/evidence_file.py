"""`evidence.csv`: the sentences that spoke for and against each prediction, in long form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kpl.knowledge import KnowledgeBase
from kpl.methods import Evidence
from kpl.runs.tables import write_csv

_HEADER = (
    "image",
    "label",
    "runner_up",
    "text_margin",
    "proxy_margin",
    "class",
    "sentence",
    "side",
    "text_share",
    "text_excess",
    "proxy_effect",
    "label_without",
)


def write_evidence(path: Path, ids: Sequence[str], evidence: Sequence[Evidence], knowledge: KnowledgeBase) -> None:
    """Write one row for each image and sentence.

    `text_share` is the sentence's exact part of `text_margin`: the rows of an image sum to it. `text_excess` is that
    less the same of the average picture. `proxy_effect` is how much `proxy_margin` falls when the method learns again
    without the sentence, `label_without` what it then calls the picture; both empty where that was not computed.
    `side` says whose description it is: the label's ("for") or the runner-up's ("against").
    """
    write_csv(path, _HEADER, _rows(ids, evidence, knowledge))


def _rows(ids: Sequence[str], evidence: Sequence[Evidence], knowledge: KnowledgeBase) -> Iterator[list[str]]:
    classes = knowledge.classes
    for image, row in zip(ids, evidence, strict=True):
        for sentence in row.sentences:
            yield [
                image,
                classes[row.winner].key,
                classes[row.runner_up].key,
                f"{row.text_margin:.6f}",
                f"{row.proxy_margin:.6f}",
                classes[sentence.class_index].key,
                classes[sentence.class_index].descriptions[sentence.index].text,
                "for" if sentence.class_index == row.winner else "against",
                f"{sentence.text_share:.6f}",
                f"{sentence.text_excess:.6f}",
                "" if sentence.proxy_effect is None else f"{sentence.proxy_effect:.6f}",
                "" if sentence.winner_without is None else classes[sentence.winner_without].key,
            ]
