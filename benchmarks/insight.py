"""Does the insight find wrong sentences? Planted ones, and what dropping everything that is marked does to accuracy.

    python benchmarks/insight.py --json benchmarks/results/insight.json

Real blood cells (480 pictures of 8 kinds, none of which trained `mini`), read by `mini` with the shipped pack
`blood-cells`. In every class k sentences are planted that were written for another class of the pack, or for the eye
(pack `retinal-oct`), in the template of the class; 20 draws. The verdicts see pictures, sentences and KPL's own
predictions with the planted sentences in. Labels serve only to score. The levels of the verdicts were fixed before any
of this was run. Of an unjudged class (fewer than five pictures went to it) nothing counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, print_table, save
from knowledge_value import real
from kpl.encoders import load_encoder
from kpl.evaluation import bootstrap_intervals
from kpl.knowledge import load_knowledge
from kpl.methods import Insight, Verdict, judge_descriptions, make_method
from kpl.proxies.arrays import unit_rows
from kpl.proxies.retrieval import retrieve

DRAWS = 20
PLANTED = (1, 3, 5, 10)
MARKED = (Verdict.DEAD, Verdict.OTHER)
Texts = list[NDArray[np.float32]]
Said = dict[str, NDArray[np.intp]]
Predict = Callable[[Texts], tuple[Said, Insight]]


class Planting:
    """The pack's sentences, and others to plant among them."""

    def __init__(self, source: str) -> None:
        """Take the sentences of `source`: "class", another class of the pack, or the name of another pack."""
        base, self.encoder = load_knowledge("blood-cells"), load_encoder("mini")
        self.template, self.names = base.task.template, [entry.name for entry in base.classes]
        self.own = [[d.text for d in entry.descriptions] for entry in base.classes]
        foreign = load_knowledge("retinal-oct" if source == "class" else source)
        strange = [d.text for entry in foreign.classes for d in entry.descriptions]
        others = [[s for o in self.own if o is not own for s in o if s not in own] for own in self.own]
        self.pool = others if source == "class" else [strange for _ in self.own]
        self.known: dict[str, NDArray[np.float32]] = {}

    def features(self, sentences: Sequence[Sequence[str]]) -> Texts:
        """Read them in the template of their class."""
        rows = []
        for name, own in zip(self.names, sentences, strict=True):
            prompts = [self.template.format(**{"class": name, "description": text}) for text in own]
            if fresh := [prompt for prompt in prompts if prompt not in self.known]:
                self.known |= dict(zip(fresh, self.encoder.encode_texts(fresh), strict=True))
            rows.append(np.stack([self.known[prompt] for prompt in prompts]))
        return rows

    def draw(self, k: int, seed: int) -> list[list[str]]:
        """Return the sentences of every class, the planted ones last."""
        rng = np.random.default_rng([seed, k])
        return [
            [*own, *(pool[j] for j in rng.choice(len(pool), k, replace=False))]
            for own, pool in zip(self.own, self.pool, strict=True)
        ]


def predictor(images: NDArray[np.float32], temperature: float) -> Predict:
    """Return what fits KPL to texts, predicts (so does the text alone), and judges the texts by KPL's predictions."""

    def predict(texts: Texts) -> tuple[Said, Insight]:
        method = make_method("kpl", temperature=temperature).fit(images, texts)
        said = {"kpl": method.predict(images), "text": (images @ method.text_.proxies.T).argmax(axis=1)}
        return said, judge_descriptions(images, said["kpl"], texts, method.text_, elsewhere=False)

    return predict


def kept(texts: Texts, drop: list[NDArray[np.bool_]], insight: Insight) -> Texts:
    """Leave sentences out; the best of a class stays in any case."""
    left = []
    for rows, gone, items in zip(texts, drop, insight.descriptions, strict=True):
        stay = ~gone
        stay[int(np.argmax([item.lift for item in items]))] |= not stay.any()
        left.append(rows[stay])
    return left


def one_draw(planting: Planting, predict: Predict, truth: NDArray[np.intp], k: int, seed: int) -> dict[str, Any]:
    """Plant, judge, drop; return what was marked and which pictures are right each way."""
    texts = planting.features(planting.draw(k, seed))
    said, insight = predict(texts)
    real_ones, wrong_ones = [], []
    drop, chance, oracle = [], [], []
    rng = np.random.default_rng([seed, k, 1])
    for own, items in zip(planting.own, insight.descriptions, strict=True):
        verdicts = [item.verdict for item in items]
        if Verdict.UNJUDGED not in verdicts:
            real_ones += verdicts[: len(own)]
            wrong_ones += verdicts[len(own) :]
        drop.append(np.array([verdict in MARKED for verdict in verdicts]))
        chance.append(rng.permutation(drop[-1]))
        oracle.append(np.arange(len(items)) >= len(own))
    right = {method: {"as it is": winners == truth} for method, winners in said.items()}
    for name, gone in (("marked dropped", drop), ("as many dropped blindly", chance), ("planted dropped", oracle)):
        for method, winners in predict(kept(texts, gone, insight))[0].items():
            right[method][name] = winners == truth
    return {"genuine": real_ones, "planted": wrong_ones, "right": right}


def shares(verdicts: list[list[Verdict]]) -> dict[str, Any]:
    """Share of the sentences with each verdict, over all draws, and the range of 95 % of the draws."""
    flat = [verdict for draw in verdicts for verdict in draw]
    each = [sum(v in MARKED for v in draw) / len(draw) for draw in verdicts if draw]
    low, high = np.percentile(each, [2.5, 97.5]).tolist() if each else (None, None)
    told = {str(v): sum(f is v for f in flat) / max(len(flat), 1) for v in Verdict if v is not Verdict.UNJUDGED}
    return {"n": len(flat), "marked": sum(v in MARKED for v in flat) / max(len(flat), 1), "range": [low, high], **told}


def accuracies(draws: list[dict[str, Any]], method: str) -> dict[str, Any]:
    """Mean accuracy over the draws each way, and its gain over leaving all in, with a bootstrap over pictures."""
    rng = np.random.default_rng(0)
    means = {name: np.mean([d["right"][method][name] for d in draws], axis=0) for name in draws[0]["right"][method]}
    picks = rng.integers(len(means["as it is"]), size=(2000, len(means["as it is"])))
    told = {}
    for name, right in means.items():
        gain = right - means["as it is"]
        low, high = np.percentile(gain[picks].mean(axis=1), [2.5, 97.5]).tolist()
        told[name] = {"accuracy": float(right.mean()), "gain": float(gain.mean()), "interval": [low, high]}
    return told


def measure(images: NDArray[np.float32], kinds: list[str]) -> dict[str, Any]:
    """Plant each number from each source."""
    base = load_knowledge("blood-cells")
    truth = np.array([base.resolve(kind) for kind in kinds], dtype=np.intp)
    predict = predictor(images, 1.0 / load_encoder("mini").logit_scale)
    figures: dict[str, Any] = {"pictures": len(truth), "draws": DRAWS, "planted": []}
    for source in ("class", "retinal-oct"):
        planting = Planting(source)
        if source == "class":
            alone = [one_draw(planting, predict, truth, 0, seed) for seed in range(DRAWS)]
            said = predict(planting.features(planting.own))[0]
            figures["nothing planted"] = {
                "genuine": shares([alone[0]["genuine"]]),
                **{method: accuracies(alone, method) for method in said},
                "intervals": {
                    method: bootstrap_intervals(truth, winners)["accuracy"] for method, winners in said.items()
                },
            }
        for k in PLANTED:
            draws = [one_draw(planting, predict, truth, k, seed) for seed in range(DRAWS)]
            told = {side: shares([draw[side] for draw in draws]) for side in ("planted", "genuine")}
            figures["planted"].append(
                {"from": source, "k": k, **told, **{m: accuracies(draws, m) for m in ("kpl", "text")}}
            )
    return figures


def speed() -> dict[str, Any]:
    """Judge 1000 classes of 25 sentences by 20 000 pictures, 512 features each, drawn around a centre a class."""
    rng = np.random.default_rng(0)
    centres, truth = rng.normal(size=(1000, 512)), rng.integers(1000, size=20_000)
    images = unit_rows(centres[truth] + rng.normal(size=(len(truth), 512)))
    texts = [unit_rows(centre + 2 * rng.normal(size=(25, 512))) for centre in centres]
    text = retrieve(images.mean(axis=0), texts, 40)
    told: dict[str, Any] = {"classes": len(texts), "sentences": 25 * len(texts), "pictures": len(images)}
    for name, elsewhere in (("seconds", True), ("without_neighbours_elsewhere", False)):
        began = time.perf_counter()
        judge_descriptions(images, truth, texts, text, elsewhere=elsewhere)
        told[name] = time.perf_counter() - began
    return told


def main() -> None:
    """Print the tables and write the JSON."""
    args = parser(__doc__ or "").parse_args()
    figures = {**measure(*real(load_encoder("mini"))), "speed": speed()}
    alone = figures["nothing planted"]

    def percent(value: float, pair: Sequence[float] | None = None, sign: str = "") -> str:
        low, high = (format(100 * end, f"{sign}.1f") for end in pair or (0, 0))
        return format(100 * value, f"{sign}.1f") + (f" ({low} to {high})" if pair else "")

    rows = [
        ["nothing", "0", "-", "-", percent(alone["genuine"]["marked"]), percent(alone["genuine"]["does the work"])],
        *(
            [
                entry["from"],
                str(entry["k"]),
                percent(entry["planted"]["marked"], entry["planted"]["range"]),
                percent(entry["planted"]["does the work"]),
                percent(entry["genuine"]["marked"], entry["genuine"]["range"]),
                percent(entry["genuine"]["does the work"]),
            ]
            for entry in figures["planted"]
        ),
    ]
    header = ["planted from", "k", "planted marked, %", "planted 'work', %", "genuine marked, %", "genuine 'work', %"]
    print_table("What is marked as dead weight or as speaking for another class", header, rows)
    for method in ("kpl", "text"):
        ways = list(alone[method])
        rows = [
            [
                entry["from"],
                str(entry["k"]),
                percent(entry[method]["as it is"]["accuracy"]),
                *(percent(entry[method][w]["gain"], entry[method][w]["interval"], "+") for w in ways[1:]),
            ]
            for entry in ({"from": "nothing", "k": 0, **alone}, *figures["planted"])
        ]
        print_table(
            f"Accuracy of `{method}`, and what dropping does to it, in points", ["planted from", "k", *ways], rows
        )
    timed = figures["speed"]
    print(
        f"\n{timed['sentences']} sentences, {timed['pictures']} pictures: {timed['seconds']:.1f} s, without the nearest"
    )
    print(f"sentences of other classes {timed['without_neighbours_elsewhere']:.1f} s")
    save(args.json, figures)


if __name__ == "__main__":
    main()
