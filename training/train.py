"""Train `mini`: `python training/train.py --seed 0` makes the weights that are shipped, and their figures.

See README.md for the recipe, the controls and the other runs.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from captions import Bank, Caption, load_bank, states_of, write_caption
from controls import invented_bank, shuffle_states
from figures import measure_towers
from labels import COLUMNS, KINDS
from loss import attribute_loss, contrastive_loss, text_loss
from optim import Muon
from pools import DATA, WORK, Pool, edited_pool, real_pool, rendered_pool, validation_rows
from towers import INNER, SHARE, ImageTower, TextTower
from views import random_views
from words import SplitWords, build_tokenizer

BANK_NAMES = ("textbook", "bench", "annotator", "atlas")


@dataclass(frozen=True)
class Plan:
    """Everything that decides a training run."""

    name: str = "seed0"
    seed: int = 0
    text_steps: int = 400
    steps: int = 1500
    batch: int = 64
    real_share: float = 0.45
    edited_share: float = 0.2
    rate: float = 2.5e-3
    conv_rate: float = 0.02
    decay: float = 0.05
    text_rate: float = 3e-4
    attribute_weight: float = 1.0
    text_weight: float = 1.0
    rendered: int = 8000
    edited: int = 6400
    banks: tuple[str, ...] = BANK_NAMES
    left_out: tuple[str, ...] = ()
    control: str = "none"
    validate: bool = False
    threads: int = 1


@dataclass
class World:
    """The pools of a run, their sampling chances, the captions and the tokenizer."""

    pools: list[Pool]
    counts: list[int]
    fits: list[list[NDArray[np.intp]]]
    bank: Bank
    split_words: SplitWords
    seen: NDArray[np.bool_]


def load_world(plan: Plan) -> World:
    """Pools without what is left out or kept for validation, and the bank of training phrases."""
    real = real_pool(DATA / "train")
    hidden = validation_rows(len(real)) & plan.validate
    left_out = sum(1 << KINDS.index(kind) for kind in plan.left_out)
    edits = edited_pool(DATA / "train", plan.edited)
    edits = edits.pick((edits.sources & left_out) == 0)
    pools = [real.pick(~hidden & ((real.sources & left_out) == 0)), edits, rendered_pool(plan.rendered)]
    bank = load_bank(plan.banks, held_out=False)
    if plan.control == "invented":
        bank = invented_bank(bank)
    if plan.control == "shuffled":
        pools = [shuffle_states(pool, plan.seed) for pool in pools]
    fits = [[np.flatnonzero(row == 1) for row in states_of(pool.states, bank.mixed)] for pool in pools]
    tokenizer = build_tokenizer(
        [*bank.texts(), "a photo picture micrograph of the this is which has with showing red blood cell"]
    )
    real_count, edited_count = round(plan.batch * plan.real_share), round(plan.batch * plan.edited_share)
    counts = [real_count, edited_count, plan.batch - real_count - edited_count]
    return World(pools, counts, fits, bank, SplitWords(tokenizer), hidden)


def _draw(world: World, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int8], list[Caption]]:
    pictures, states, captions = [], [], []
    for pool, count, fits in zip(world.pools, world.counts, world.fits, strict=True):
        rows = rng.integers(0, len(pool), count)
        pictures.append(pool.pictures[rows])
        states.append(pool.states[rows])
        captions += [write_caption(pool.states[k], fits[k], world.bank, rng) for k in rows]
    return np.concatenate(pictures), np.concatenate(states), captions


def _pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    length = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    mask = torch.zeros(len(rows), length, dtype=torch.int64)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = torch.tensor(row)
        mask[k, : len(row)] = 1
    return ids, mask


@dataclass
class Model:
    """Both towers, the fixed directions of the attribute values that they share, and what is learned beside them."""

    image: ImageTower
    text: TextTower
    directions: Tensor
    scale: torch.nn.Parameter
    bias: torch.nn.Parameter

    def state(self) -> dict[str, Any]:
        """Everything that was learned."""
        return {
            "image": self.image.state_dict(),
            "text": self.text.state_dict(),
            "scale": self.scale.detach(),
            "bias": self.bias.detach(),
        }


def new_model(plan: Plan, words: int) -> Model:
    """Untrained towers."""
    torch.manual_seed(plan.seed)
    directions = torch.linalg.qr(torch.randn(INNER, len(COLUMNS)))[0].T.contiguous()
    scale = torch.nn.Parameter(torch.tensor(float(np.log(25.0))))
    image = ImageTower().to(memory_format=torch.channels_last)
    return Model(image, TextTower(words), directions, scale, torch.nn.Parameter(torch.full((len(COLUMNS),), -1.0)))


Groups = list[dict[str, Any]]


class Steps:
    """An optimiser with one cycle of the learning rate: up, and down to nothing."""

    def __init__(self, groups: Groups, steps: int, label: str, convolutions: Groups | None = None) -> None:
        self.parameters = [p for group in groups + (convolutions or []) for p in group["params"]]
        self.optimisers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=(0.9, 0.98))]
        if convolutions:
            self.optimisers.append(Muon(convolutions, lr=convolutions[0]["lr"], weight_decay=0.01))
        self.schedules = [
            torch.optim.lr_scheduler.OneCycleLR(
                o, [group["lr"] for group in o.param_groups], total_steps=steps, pct_start=0.12, cycle_momentum=False
            )
            for o in self.optimisers
        ]
        self.label, self.count, self.start = label, 0, time.monotonic()

    def take(self, **losses: Tensor) -> None:
        """One step down the sum of the losses."""
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 2.0)
        for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
            optimiser.step()
            schedule.step()
        self.count += 1
        if self.count % 50 == 0:
            parts = " ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
            pace = (time.monotonic() - self.start) / self.count
            print(f"{self.label} step {self.count}: {parts}, {pace:.2f} s/step", flush=True)


def _image_groups(model: Model, plan: Plan) -> tuple[Groups, Groups]:
    parameters = list(model.image.parameters())
    heads = {"params": [p for p in parameters if p.ndim == 2], "lr": plan.rate, "weight_decay": plan.decay}
    others = {"params": [*(p for p in parameters if p.ndim == 1), model.bias], "lr": plan.rate, "weight_decay": 0.0}
    return [heads, others], [{"params": [p for p in parameters if p.ndim == 4], "lr": plan.conv_rate}]


def _text_groups(model: Model, rate: float, decay: float) -> Groups:
    words = model.text.words.weight
    others = [p for p in model.text.parameters() if p is not words]
    # Most words are rare: they have to go far in few updates.
    return [
        {"params": [words], "lr": 5 * rate, "weight_decay": 0.0},
        {"params": others, "lr": rate, "weight_decay": decay},
    ]


def _encode(model: Model, world: World, captions: list[Caption], rng: np.random.Generator) -> Tensor:
    """Unit rows of captions, computed in groups of like length (padding is most of the cost otherwise)."""
    rows = world.split_words([caption.text for caption in captions], rng)
    order = np.argsort([len(row) for row in rows], kind="stable")
    parts = [model.text.raw(*_pad([rows[k] for k in some])) for some in np.array_split(order, 4)]
    return F.normalize(torch.cat(parts)[torch.from_numpy(np.argsort(order))].float(), dim=1)


def train_text(model: Model, plan: Plan, world: World) -> None:
    """First stage: sentences alone. Which attribute values does a caption claim?"""
    rng = np.random.default_rng([plan.seed, 1])
    steps = Steps(_text_groups(model, 3e-3, plan.decay), plan.text_steps, "sentences")
    pool, fits = world.pools[2], world.fits[2]
    for _ in range(plan.text_steps):
        rows = rng.integers(0, len(pool), 256)
        captions = [write_caption(pool.states[k], fits[k], world.bank, rng, most=3) for k in rows]
        steps.take(text=text_loss(_encode(model, world, captions, rng), model.directions, captions))


def train_both(model: Model, plan: Plan, world: World) -> None:
    """Second stage: pictures of all kinds and their captions together, by contrast."""
    rng = np.random.default_rng([plan.seed, 3])
    heads, convolutions = _image_groups(model, plan)
    groups = [
        *heads,
        {"params": [model.scale], "lr": 1e-2, "weight_decay": 0.0},
        *_text_groups(model, plan.text_rate, plan.decay),
    ]
    steps = Steps(groups, plan.steps, "both", convolutions)
    for _ in range(plan.steps):
        pictures, states, captions = _draw(world, rng)
        views = random_views(pictures, rng)
        with torch.autocast("cpu", torch.bfloat16):
            raw = model.image.raw(views).float()
        x, t = F.normalize(raw, dim=1), _encode(model, world, captions, rng)
        scale = model.scale.exp().clamp(max=100.0)
        table, truth = torch.from_numpy(states_of(states, captions)), torch.from_numpy(states)
        steps.take(
            contrast=contrastive_loss(x, t, table, scale),
            attributes=plan.attribute_weight * attribute_loss(raw, model.directions, model.bias, truth),
            text=plan.text_weight * text_loss(t, model.directions, captions),
        )


def train(plan: Plan, world: World) -> Model:
    """One run: the sentences, then both."""
    torch.set_num_threads(plan.threads)
    model = new_model(plan, world.split_words.tokenizer.get_vocab_size())
    train_text(model, plan, world)
    train_both(model, plan, world)
    return model


def _plan() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Plan()).items():
        if isinstance(value, bool):
            parser.add_argument(f"--{name}", action="store_true")
        elif isinstance(value, tuple):
            parser.add_argument(f"--{name}", nargs="*", default=value)
        else:
            parser.add_argument(f"--{name}", type=type(value), default=value)
    given: dict[str, Any] = vars(parser.parse_args())
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return Plan(**settings)


def main() -> None:
    """Train, save the towers and the tokenizer, and write the run's figures."""
    plan = _plan()
    world = load_world(plan)
    model = train(plan, world)
    folder = WORK / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state(), folder / "towers.pt")
    world.split_words.tokenizer.save(str(folder / "tokenizer.json"))
    figures = measure_towers(model.image, model.text, world.split_words.tokenizer, plan, DATA)
    result = {
        "plan": asdict(plan),
        "scale": float((model.scale.detach().exp() / SHARE).clamp(max=100.0)),
        "figures": figures,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
