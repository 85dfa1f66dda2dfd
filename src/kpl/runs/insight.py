"""A knowledge base over pictures: which descriptions these call for, which separate the classes, which are idle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kpl.embeddings import FeatureFolder, TextCache, embed_texts, is_bundle, open_features
from kpl.encoders import Encoder
from kpl.errors import FeaturesError
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.methods import DescriptionInsight, Insight, Near, Verdict, judge_descriptions, make_method
from kpl.progress import Progress, silent
from kpl.runs.contradicting import Contradiction, contradictions
from kpl.runs.folder import FEATURES_FOLDER, is_run
from kpl.runs.source import Source


@dataclass(frozen=True)
class KnowledgeInsight:
    """What the descriptions of a knowledge base do over pictures, with their words.

    Attributes:
        knowledge: what was looked at.
        encoder, method: names; the method made the predictions.
        pictures: how many.
        found: what each class and description does, in the knowledge's order.
        contradicted: descriptions that the pictures contradict, the worst first; none where these cannot tell.
    """

    knowledge: KnowledgeBase = field(repr=False)
    encoder: str
    method: str
    pictures: int
    found: Insight = field(repr=False)
    contradicted: tuple[Contradiction, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        classes, found = self.knowledge.classes, self.found
        return {
            "knowledge": self.knowledge.task.name,
            "content": self.knowledge.content_hash(),
            "encoder": self.encoder,
            "method": self.method,
            "pictures": self.pictures,
            "classes": [
                {
                    "key": entry.key,
                    "pictures": told.pictures,
                    "nearest": classes[told.nearest].key,
                    "cosine": told.cosine,
                    "collapsed": told.collapsed,
                    "descriptions": [self._description(item) for item in items],
                }
                for entry, told, items in zip(classes, found.classes, found.descriptions, strict=True)
            ],
            "contradicted": [said._asdict() for said in self.contradicted],
            "similarity": found.similarity.centred.round(4).tolist(),
        }

    def _description(self, item: DescriptionInsight) -> dict[str, Any]:
        classes = self.knowledge.classes

        def near(found: Near | None) -> dict[str, Any] | None:
            if found is None:
                return None
            entry = classes[found.class_index]
            return {"class": entry.key, "text": entry.descriptions[found.description].text, "cosine": found.cosine}

        told = asdict(item) | {
            "text": classes[item.class_index].descriptions[item.index].text,
            "loudest": None if item.loudest is None else classes[item.loudest].key,
            "same": near(item.same),
            "elsewhere": near(item.elsewhere),
            "verdict": str(item.verdict),
        }
        return {"text": told.pop("text"), **{name: told[name] for name in told if name not in ("class_index", "index")}}


def verdict_words(item: DescriptionInsight, knowledge: KnowledgeBase) -> str:
    """Say the verdict on a description in words, with the class or the sentence that it is about."""
    if item.verdict is Verdict.OTHER and item.loudest is not None:
        return f"speaks for {knowledge.classes[item.loudest].name}"
    if item.verdict is Verdict.REDUNDANT and item.same is not None:
        return f"redundant with “{knowledge.classes[item.class_index].descriptions[item.same.description].text}”"
    return str(item.verdict)


def inspect_knowledge(
    knowledge: str | Path | KnowledgeBase,
    features: str | Path,
    *,
    encoder: str | Encoder | None = None,
    progress: Progress | None = None,
) -> KnowledgeInsight:
    """Say what each description of a knowledge base does over pictures, without labels.

    The default method learns from the pictures with this knowledge; its predictions stand in for labels.

    Args:
        knowledge: a file, a pack's name, or a knowledge base.
        features: a folder of `kpl embed`, or a run folder of `kpl classify`, whose features are taken.
        encoder: where the encoder of these features is, if not where its name says.
        progress: told of the stages.

    Raises:
        FeaturesError: there are no features, or none that name their encoder.
        EncoderError: the encoder is not at hand, is another one, or does not fit the knowledge.
        KnowledgeError: the knowledge cannot be used; a list of names has no description to judge.
    """
    tell = progress or silent
    base = knowledge if isinstance(knowledge, KnowledgeBase) else load_knowledge(knowledge)
    prompts = base.prompts()
    images = _features(Path(features))
    coder = Source(folder=images).encoder(encoder, base)
    tell("descriptions", 0, 1)
    texts = embed_texts(prompts, coder, cache=TextCache())
    tell("descriptions", 1, 1)
    method = make_method("kpl", temperature=1.0 / coder.logit_scale).fit(images, texts, weights=images.weights)
    found = judge_descriptions(images, method.predict(images), texts, method.text_)
    return KnowledgeInsight(base, coder.card.name, method.name, images.n, found, contradictions(method, base))


def _features(path: Path) -> FeatureFolder:
    if is_bundle(path) or path.suffix == ".npy":
        raise FeaturesError(
            f"{str(path)!r} holds arrays and no encoder that could read sentences: give a folder of `kpl embed`, or a "
            "run of `kpl classify`"
        )
    return open_features(path / FEATURES_FOLDER if is_run(path) else path)
