"""KPL: classify images without labels, by a knowledge base of descriptions and Knowledge Proxy Learning.

    >>> import kpl
    >>> "kpl" in kpl.METHODS
    True

Names load on first use, so that `import kpl` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kpl import later, quiet

if TYPE_CHECKING:
    __version__: str
    from kpl.demo import draw_demo
    from kpl.embeddings import embed_pictures, embed_texts, open_bundle, open_features
    from kpl.encoders import Encoder, EncoderCard, load_encoder
    from kpl.errors import KplError
    from kpl.evaluation import Predicted, compare, read_labels
    from kpl.images import decode, find_pictures
    from kpl.knowledge import KnowledgeBase, load_knowledge
    from kpl.methods import KPL, METHODS, Method, explain, make_method
    from kpl.report import explain_picture, write_report
    from kpl.runs import (
        Findings,
        Model,
        MultiLabelRun,
        Prediction,
        Run,
        SingleLabelRun,
        calibrate,
        calibrate_multi_label,
        classify,
        classify_multi_label,
        evaluate,
        fit,
        inspect_knowledge,
        load_model,
        open_run,
        update,
    )

__all__ = [
    "KPL",
    "METHODS",
    "Encoder",
    "EncoderCard",
    "Findings",
    "KnowledgeBase",
    "KplError",
    "Method",
    "Model",
    "MultiLabelRun",
    "Predicted",
    "Prediction",
    "Run",
    "SingleLabelRun",
    "calibrate",
    "calibrate_multi_label",
    "classify",
    "classify_multi_label",
    "compare",
    "decode",
    "draw_demo",
    "embed_pictures",
    "embed_texts",
    "evaluate",
    "explain",
    "explain_picture",
    "find_pictures",
    "fit",
    "inspect_knowledge",
    "load_encoder",
    "load_knowledge",
    "load_model",
    "make_method",
    "open_bundle",
    "open_features",
    "open_run",
    "read_labels",
    "update",
    "write_report",
]

_ROOMS = {
    "embeddings": ("embed_pictures", "embed_texts", "open_bundle", "open_features"),
    "encoders": ("Encoder", "EncoderCard", "load_encoder"),
    "errors": ("KplError",),
    "evaluation": ("Predicted", "compare", "read_labels"),
    "images": ("decode", "find_pictures"),
    "knowledge": ("KnowledgeBase", "load_knowledge"),
    "methods": ("KPL", "METHODS", "Method", "explain", "make_method"),
    "demo": ("draw_demo",),
    "report": ("explain_picture", "write_report"),
    "runs": (
        "Findings",
        "Model",
        "MultiLabelRun",
        "Prediction",
        "Run",
        "SingleLabelRun",
        "calibrate",
        "calibrate_multi_label",
        "classify",
        "classify_multi_label",
        "evaluate",
        "fit",
        "inspect_knowledge",
        "load_model",
        "open_run",
        "update",
    ),
}
_load = later.on_first_use(__name__, _ROOMS)

quiet.silence()  # here, because no part of KPL loads without passing through


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("knowledge-proxy-learning")
    return _load(name)


def __dir__() -> list[str]:
    return __all__
