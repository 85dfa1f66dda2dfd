"""The rules that need an encoder: whether it reads every prompt to its end, knows the words, and is made for this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.knowledge.limits import fits_modality
from kpl.knowledge.lint.across import row_finding
from kpl.knowledge.lint.rules import RULES, Finding
from kpl.knowledge.lint.sheet import Row, Sheet


@dataclass(frozen=True)
class EncoderRules:
    """Rules for one encoder, handed in as functions, so that knowledge stays apart from models.

    Attributes:
        name: of the encoder.
        context_length: tokens it reads, start and end included.
        modalities: what it is made for; empty for a general one.
        count_tokens: its own tokenizer.
        unknown_words: the words of a sentence that its vocabulary lacks.
        encode_texts: sentences to unit rows (n, d); left out, near-duplicates are told by their words alone.
        alike: cosine from which two sentences of a class say the same.
    """

    name: str
    context_length: int
    modalities: Sequence[str]
    count_tokens: Callable[[str], int]
    unknown_words: Callable[[str], Sequence[str]]
    encode_texts: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    alike: float = 0.995

    def __call__(self, sheet: Sheet) -> Iterator[Finding]:
        """Find prompts that are too long, words that are not known, an unfit modality, and repeats by features."""
        kb = sheet.knowledge
        if not fits_modality(kb, self.modalities):
            stated = kb.task.modality or "unknown"
            message = f"the modality is {stated}, but {self.name} is made for {', '.join(self.modalities)}"
            yield Finding(RULES["K503"], message)
        for entry, prompt, line in zip(kb.classes, kb.name_prompts(), sheet.line_of_class, strict=True):
            if (tokens := self.count_tokens(prompt)) > self.context_length:
                yield Finding(RULES["K501"], f"its name alone makes {self._too_long(tokens)}", entry.key, None, line)
        unknown: Counter[str] = Counter()
        classes: dict[int, list[tuple[Row, str]]] = {}
        for row in (*sheet.sound, *sheet.absent):
            prompt = kb.task.template.format(**{"class": kb.classes[row.class_number].name, "description": row.text})
            if (tokens := self.count_tokens(prompt)) > self.context_length:
                yield row_finding(sheet, row, "K501", f"{self._too_long(tokens)}: shorten it or split it in two")
            unknown.update(self.unknown_words(row.text))
            if row.kind == "description":
                classes.setdefault(row.class_number, []).append((row, prompt))
        if unknown:
            words = ", ".join(f"{word} ({count})" for word, count in unknown.most_common(20))
            more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
            yield Finding(RULES["K502"], f"words that {self.name} does not know: {words}{more}")
        if self.encode_texts is not None:
            for rows in classes.values():
                yield from self._near(sheet, [row for row, _ in rows], self.encode_texts([p for _, p in rows]))

    def _too_long(self, tokens: int) -> str:
        return f"{tokens} tokens with the template, {self.name} reads at most {self.context_length}"

    def _near(self, sheet: Sheet, rows: list[Row], features: NDArray[np.float32]) -> Iterator[Finding]:
        cosines = np.tril(features.astype(np.float64) @ features.astype(np.float64).T, -1)
        for later, earlier in enumerate(cosines.argmax(axis=1)):
            if cosines[later, earlier] >= self.alike:
                message = f"{self.name} reads it nearly as description {rows[earlier].position + 1}"
                yield row_finding(sheet, rows[later], "K202", f"{message} (cosine {cosines[later, earlier]:.3f})")
