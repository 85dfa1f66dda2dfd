"""Train `mini`: `python training/train.py --seed 0` makes the weights that are shipped, and their figures.

See README.md for the recipe, the controls and the other runs.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from captions import Bank, Caption, load_bank, states_of, write_caption
from controls import invented_bank, shuffle_states
from figures import measure_towers
from labels import COLUMNS, KINDS
from loss import attribute_loss, contrastive_loss, text_loss
from numpy.typing import NDArray
from pools import WORK, Pool, edited_pool, real_pool, rendered_pool
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the field's name for it)
from towers import DIM, ImageTower, TextTower
from views import random_views
from words import SplitWords, build_tokenizer

DATA = Path(__file__).parents[1] / "../shared/data/images/pbc_blood_cells"
BANK_NAMES = ("textbook", "bench", "annotator")


@dataclass(frozen=True)
class Plan:
    """Everything that decides a training run."""

    name: str = "seed0"
    seed: int = 0
    text_steps: int = 400
    steps: int = 400
    batch: int = 128
    real_share: float = 0.3
    edited_share: float = 0.25
    rate: float = 2.5e-3
    decay: float = 0.05
    captions: int = 1
    text_rate: float = 5e-4
    attribute_weight: float = 1.0
    text_weight: float = 1.0
    rendered: int = 8000
    edited: int = 6400
    banks: tuple[str, ...] = BANK_NAMES
    left_out: tuple[str, ...] = ()
    control: str = "none"
    validate: bool = False
    threads: int = 2


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
    hidden = (np.arange(len(real)) % 10 == 3) if plan.validate else np.zeros(len(real), dtype=bool)
    left_out = sum(1 << KINDS.index(kind) for kind in plan.left_out)
    edits = edited_pool(DATA / "train", plan.edited, hidden if plan.validate else None)
    edits = edits.pick((edits.sources & left_out) == 0)
    pools = [real.pick(~hidden & ((real.sources & left_out) == 0)), edits, rendered_pool(plan.rendered)]
    bank = load_bank(plan.banks, held_out=False)
    if plan.control == "invented":
        bank = invented_bank(bank)
    if plan.control == "shuffled":
        pools = [shuffle_states(pool, plan.seed) for pool in pools]
    fits = [[np.flatnonzero(row == 1) for row in states_of(pool.states, bank.mixed)] for pool in pools]
    tokenizer = build_tokenizer(bank.texts() + ["a photo picture micrograph of the this is which has with showing red blood cell"])
    real_count, edited_count = round(plan.batch * plan.real_share), round(plan.batch * plan.edited_share)
    counts = [real_count, edited_count, plan.batch - real_count - edited_count]
    return World(pools, counts, fits, bank, SplitWords(tokenizer), hidden)


def _draw(world: World, plan: Plan, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int8], list[Caption]]:
    pictures, states, captions = [], [], []
    for pool, count, fits in zip(world.pools, world.counts, world.fits, strict=True):
        rows = rng.integers(0, len(pool), count)
        pictures.append(pool.pictures[rows])
        states.append(pool.states[rows])
        captions += [write_caption(pool.states[k], fits[k], world.bank, rng) for k in rows for _ in range(plan.captions)]
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
    """Both towers, the attribute prototypes that they share, and the learned scale."""

    image: ImageTower
    text: TextTower
    prototypes: torch.nn.Parameter
    scale: torch.nn.Parameter
    sharpness: torch.nn.Parameter
    bias: torch.nn.Parameter

    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything that is trained."""
        return [*self.image.parameters(), *self.text.parameters(), self.prototypes, self.scale, self.sharpness, self.bias]


def _optimiser(
    groups: list[dict[str, object]], steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.12, cycle_momentum=False)
    return optimiser, schedule


def _text_groups(model: Model, rate: float, decay: float) -> list[dict[str, object]]:
    words = model.text.words.weight
    others = [p for p in model.text.parameters() if p is not words]
    # Most words are rare: they have to go far in few updates.
    return [
        {"params": [words], "lr": 5 * rate, "weight_decay": 0.0},
        {"params": [*others, model.prototypes], "lr": rate, "weight_decay": decay},
    ]


def _encode(model: Model, world: World, captions: list[Caption], rng: np.random.Generator) -> Tensor:
    """Unit rows of captions, computed in groups of like length (padding is most of the cost otherwise)."""
    rows = world.split_words([caption.text for caption in captions], rng)
    order = np.argsort([len(row) for row in rows], kind="stable")
    parts = [model.text(*_pad([rows[k] for k in some])) for some in np.array_split(order, 4)]
    return torch.cat(parts)[torch.from_numpy(np.argsort(order))].float()


def train_text(model: Model, plan: Plan, world: World, rng: np.random.Generator) -> None:
    """First the sentences alone: which attribute values does a caption claim?"""
    optimiser, schedule = _optimiser(_text_groups(model, 3e-3, plan.decay), plan.text_steps)
    for step in range(plan.text_steps):
        captions = []
        for pool, fits in zip(world.pools, world.fits, strict=True):
            rows = rng.integers(0, len(pool), 86)
            captions += [write_caption(pool.states[k], fits[k], world.bank, rng, most=3) for k in rows]
        loss = text_loss(_encode(model, world, captions, rng), F.normalize(model.prototypes, dim=1), captions)
        _step(loss, model, optimiser, schedule)
        if step % 100 == 99:
            print(f"text step {step + 1} loss {loss.item():.4f}", flush=True)


def _step(
    loss: Tensor, model: Model, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> None:
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimiser.step()
    schedule.step()


def train_both(model: Model, plan: Plan, world: World, rng: np.random.Generator) -> None:
    """Then pictures and captions together."""
    weights = [p for p in model.image.parameters() if p.ndim > 1]
    groups: list[dict[str, object]] = [
        {"params": weights, "lr": plan.rate, "weight_decay": plan.decay},
        {"params": [p for p in model.image.parameters() if p.ndim <= 1], "lr": plan.rate, "weight_decay": 0.0},
        {"params": [model.scale, model.sharpness, model.bias], "lr": 1e-2, "weight_decay": 0.0},
        *_text_groups(model, plan.text_rate, plan.decay),
    ]
    optimiser, schedule = _optimiser(groups, plan.steps)
    start = time.monotonic()
    for step in range(plan.steps):
        pictures, states, captions = _draw(world, plan, rng)
        views = random_views(pictures, rng)
        with torch.autocast("cpu", torch.bfloat16):
            x = model.image(views).float()
        t = _encode(model, world, captions, rng)
        scale = model.scale.exp().clamp(max=100.0)
        loss = contrastive_loss(x, t, torch.from_numpy(states_of(states, captions)), scale)
        units = F.normalize(model.prototypes, dim=1)
        parts = [attribute_loss(x, units, model.sharpness, model.bias, torch.from_numpy(states)), text_loss(t, units, captions)]
        total = loss + plan.attribute_weight * parts[0] + plan.text_weight * parts[1]
        _step(total, model, optimiser, schedule)
        if step % 25 == 24:
            print(
                f"step {step + 1} loss {loss.item():.3f} attributes {parts[0].item():.3f} text {parts[1].item():.3f}"
                f" scale {scale.item():.1f} {(time.monotonic() - start) / (step + 1):.2f} s/step",
                flush=True,
            )


def train(plan: Plan, world: World) -> Model:
    """One run: the sentences alone, then both."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    rng = np.random.default_rng(plan.seed)
    image = ImageTower().to(memory_format=torch.channels_last)
    text = TextTower(world.split_words.tokenizer.get_vocab_size())
    prototypes = torch.nn.Parameter(F.normalize(torch.randn(len(COLUMNS), DIM), dim=1))
    sharpness = torch.nn.Parameter(torch.full((len(COLUMNS),), float(np.log(40.0))))
    bias = torch.nn.Parameter(torch.full((len(COLUMNS),), -3.0))
    model = Model(image, text, prototypes, torch.nn.Parameter(torch.tensor(float(np.log(25.0)))), sharpness, bias)
    train_text(model, plan, world, rng)
    train_both(model, plan, world, rng)
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
    given = vars(parser.parse_args())
    return Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def main() -> None:
    """Train, save the towers and the tokenizer, and write the run's figures."""
    plan = _plan()
    world = load_world(plan)
    model = train(plan, world)
    folder = WORK / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    state = {"image": model.image.state_dict(), "text": model.text.state_dict(), "scale": model.scale.detach()}
    torch.save(state, folder / "towers.pt")
    world.split_words.tokenizer.save(str(folder / "tokenizer.json"))
    figures = measure_towers(model.image, model.text, world.split_words.tokenizer, plan, DATA)
    result = {"plan": asdict(plan), "scale": float(model.scale.detach().exp().clamp(max=100.0)), "figures": figures}
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
