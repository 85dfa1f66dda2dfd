"""The two towers of a model of transformers: by which methods they are asked, and whether they are the model's own.

No list of models decides. What a model has decides: `get_image_features` and `get_text_features`, or, in code of its
own, `encode_image` and `encode_text`. Of a kind that nobody has tried the features are compared with those that the
model itself makes of pictures and sentences in its `forward`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kpl.bounded import bounded_memory
from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError, one_line

Tower = Callable[[Mapping[str, Any]], Any]
"""From the tensors of a batch, by name, to (n, d) features of any length."""

_NAMES: Final = (("get_image_features", "get_text_features"), ("encode_image", "encode_text"))
_FEATURES: Final = (
    "pooler_output", "image_embeds", "text_embeds", "image_features", "text_features", "embeddings", "features",
)  # fmt: skip
_TRANSFORMERS: Final = "transformers."
_ROOM: Final = 4 << 30  # bytes of a model without numbers: none has a million layers
_AGREES: Final = 1e-3  # of a unit row; rounding is a hundred times less, another tower a hundred times more


def towers_of(model: Any, name: str) -> tuple[Tower, Tower]:  # noqa: ANN401 - torch
    """Find the methods that encode pictures and sentences.

    Raises:
        EncoderError: the model has none.
    """
    for image, text in _NAMES:
        if hasattr(model, image) and hasattr(model, text):
            return _tower(getattr(model, image), "pixel_values"), _tower(getattr(model, text), "input_ids")
    kind = getattr(getattr(model, "config", None), "model_type", "")
    raise EncoderError(
        f"encoder {name!r}: config.json says model_type {kind!r}, and {type(model).__name__} has neither "
        "get_image_features and get_text_features nor encode_image and encode_text: it is no model of two towers, or "
        "one that needs an adapter, --encoder ./my_adapter.py:build"
    )


def _tower(method: Callable[..., Any], first: str) -> Tower:
    """Call a method as it is declared: by names where it has them, else with one argument."""
    declared = inspect.signature(method).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in declared.values())
    if first in declared:
        names = None if takes_all else set(declared)
        return lambda tensors: pooled(method(**{k: v for k, v in tensors.items() if names is None or k in names}))
    if takes_all and not any(each.kind is each.POSITIONAL_OR_KEYWORD for each in declared.values()):
        return lambda tensors: pooled(method(**tensors))
    if first == "input_ids" and any("inputs" in name or "tokens" in name for name in declared):
        return lambda tensors: pooled(method(tensors))
    return lambda tensors: pooled(method(tensors[first]))


def pooled(output: Any) -> Any:  # noqa: ANN401 - torch
    """The features of what such a method gives: transformers 5 wraps them in an output object, others in a mapping."""
    told = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
    found = next((told[name] for name in _FEATURES if told.get(name) is not None), output)
    return found[0] if isinstance(found, tuple | list) else found


def skeleton(config: Any, *, trusted: bool) -> Any:  # noqa: ANN401 - torch
    """Build a model without numbers in it, to see what it has; None where its code cannot be built so."""
    import torch
    from transformers import AutoModel

    try:
        with bounded_memory(_ROOM), torch.device("meta"):
            model = AutoModel.from_config(config, trust_remote_code=trusted)
    except Exception:
        return None
    if not hasattr(model, "all_tied_weights_keys"):  # code for transformers 4 that never calls post_init, which sets it
        type(model).all_tied_weights_keys = {}
    return model


def positions(model: Any) -> int:  # noqa: ANN401 - torch
    """Count the tokens for which a text tower has positions; 0 where it does not show.

    RoBERTa and its kin count from the padding's number on, so that many positions are never a token's.
    """
    import torch

    for name, module in [] if model is None else model.named_modules():
        last = name.rpartition(".")[2]
        in_text = last in ("position_embedding", "position_embeddings") and not re.search("vision|visual|image", name)
        if in_text and isinstance(module, torch.nn.Embedding):
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            return int(module.num_embeddings) - before
    return 0


def check_towers(
    towers: tuple[Tower, Tower],
    pixels: Mapping[str, Any],
    texts: tuple[Mapping[str, Any], ...],
    card: EncoderCard,
) -> None:
    """Ask both towers once, and the text tower for a sentence as long as the card says that it reads.

    Raises:
        EncoderError: one cannot be asked so, or gives no row a picture or sentence.
    """
    import torch

    asked = [("pictures", towers[0], pixels), *(("sentences", towers[1], tensors) for tensors in texts)]
    with torch.inference_mode():
        for what, tower, tensors in asked:
            try:
                rows = tower(tensors)
            except Exception as error:
                longest = f" of {card.context_length} tokens" if tensors is texts[-1] else ""
                raise EncoderError(
                    f"encoder {card.name!r}: its library cannot encode {what}{longest} with it ({one_line(error)})"
                ) from error
            count = len(next(iter(tensors.values())))
            if not torch.is_tensor(rows) or rows.shape != (count, card.dim):
                said = tuple(rows.shape) if torch.is_tensor(rows) else type(rows).__name__
                raise EncoderError(
                    f"encoder {card.name!r}: its features of {count} {what} are {said}, not {(count, card.dim)}: it "
                    "needs an adapter, --encoder ./my_adapter.py:build"
                )


def check_against_forward(
    model: Any,  # noqa: ANN401 - torch
    towers: tuple[Tower, Tower],
    pixels: Mapping[str, Any],
    tokens: Mapping[str, Any],
    name: str,
) -> None:
    """Compare the towers with what the model's own `forward` makes of the same pictures and sentences.

    Code of a model's own that has no such `forward` is believed: it was asked for.

    Raises:
        EncoderError: they differ, or the library's model cannot do it.
    """
    import torch

    own_code = not type(model).__module__.startswith(_TRANSFORMERS)
    with torch.inference_mode():
        try:
            whole = model(**pixels, **tokens)
            expected = whole.image_embeds, whole.text_embeds
        except Exception as error:
            if own_code:
                return
            raise EncoderError(
                f"encoder {name!r}: {type(model).__name__} gives no features of both towers ({one_line(error)}): KPL "
                "cannot tell that it reads this model rightly"
            ) from error
        for what, found, right in zip(
            ("pictures", "sentences"), (towers[0](pixels), towers[1](tokens)), expected, strict=True
        ):
            unit, own = (torch.nn.functional.normalize(rows.float(), dim=-1) for rows in (found, right))
            if unit.shape != own.shape or not (unit - own).abs().max() <= _AGREES:
                raise EncoderError(
                    f"encoder {name!r}: the features of {what} are not those of {type(model).__name__}.forward: KPL "
                    "does not know this kind of model"
                )
