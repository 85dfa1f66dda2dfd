"""Adapters: the worked example of each kind in docs/adapters, run on a small stand-in with the same interface."""

from __future__ import annotations

import json
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.encoders import tiny_models
from tests.encoders.tiny_models import SENTENCES, bert_tokenizer

from kpl.encoders import adapt, load_encoder
from kpl.encoders.golden import fixed_pictures
from kpl.encoders.selftest import self_test
from kpl.errors import EncoderError, InputError

EXAMPLES = Path(__file__).parents[2] / "docs" / "adapters"

Features = tuple[Any, Any]


def pixels(picture: Image.Image) -> Any:
    import torch

    return torch.from_numpy(np.asarray(picture.convert("RGB").resize((32, 32)), np.float32).transpose(2, 0, 1) / 255)


def towers() -> tuple[Any, Any]:
    import torch

    made = torch.nn.Linear(3 * 32 * 32, 16), torch.nn.Embedding(len(bert_tokenizer()), 16)
    for tower in made:
        tower.load_state_dict(tiny_models.named_numbers(tower.state_dict()))
    return made


def modules(monkeypatch: pytest.MonkeyPatch, **named: types.SimpleNamespace) -> None:
    """Make modules importable, `a__b` as `a.b`."""
    for name, content in named.items():
        parts = name.split("__")
        for k in range(1, len(parts) + 1):
            module = types.ModuleType(".".join(parts[:k]))
            module.__dict__.update(vars(content) if k == len(parts) else {})
            if ".".join(parts[:k]) not in sys.modules or k == len(parts):
                monkeypatch.setitem(sys.modules, ".".join(parts[:k]), module)


def conch(folder: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Image.Image]) -> Features:
    """A package with a model that has encode_image and encode_text; its tokenizer pads with a function beside it."""
    import torch

    (folder / "pytorch_model.bin").write_bytes(b"weights")
    image, text = towers()
    tokenizer = bert_tokenizer()

    class Model(torch.nn.Module):
        logit_scale = torch.tensor(2.0)

        def encode_image(self, batch: Any) -> Any:
            return image(batch.flatten(1))

        def encode_text(self, tokens: Any) -> Any:
            return text(tokens).sum(1)

    def tokenize(texts: list[str], tokenizer: Any) -> Any:
        return tokenizer(texts, padding="max_length", max_length=40, return_tensors="pt").input_ids

    custom = types.SimpleNamespace(
        create_model_from_pretrained=lambda _name, _weights: (Model(), pixels),
        get_tokenizer=lambda: tokenizer,
        tokenize=tokenize,
    )
    modules(monkeypatch, conch__open_clip_custom=custom)
    return (
        torch.stack([image(pixels(each).flatten()) for each in pictures]),
        torch.stack([text(tokenize([each], tokenizer))[0].sum(0) for each in SENTENCES]),
    )


def biovil(folder: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Image.Image]) -> Features:
    """Two engines: a picture's path to one row, sentences to rows."""
    import torch

    (folder / "biovil_t_image_model_proj_size_128.pt").write_bytes(b"weights")
    image, text = towers()
    tokenizer = bert_tokenizer()
    engine = types.SimpleNamespace(
        get_projected_global_embedding=lambda path: image(pixels(Image.open(path)).flatten())
    )

    def prompts(sentences: list[str]) -> Any:
        return torch.stack([text(torch.tensor(tokenizer(each).input_ids)).mean(0) for each in sentences])

    words = types.SimpleNamespace(tokenizer=tokenizer, get_embeddings_from_prompt=prompts)
    modules(
        monkeypatch,
        health_multimodal__image__utils=types.SimpleNamespace(get_image_inference=lambda _kind: engine),
        health_multimodal__text__utils=types.SimpleNamespace(get_bert_inference=lambda _kind: words),
    )
    return torch.stack([image(pixels(each).flatten()) for each in pictures]), prompts(list(SENTENCES))


def openclip_fork(folder: Path, _monkeypatch: pytest.MonkeyPatch, pictures: list[Image.Image]) -> Features:
    """OpenCLIP itself stands for a copy of it."""
    import open_clip
    import torch

    shutil.copytree(tiny_models.openclip_vit(folder / "made") / "weights", folder / "model")
    name = f"local-dir:{folder / 'model'}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    model.eval()
    tokens = open_clip.get_tokenizer(name)(list(SENTENCES))
    return model.encode_image(torch.stack([preprocess(each) for each in pictures])), model.encode_text(tokens)


CODE = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
class BothConfig(PretrainedConfig):
    model_type = "bothtowers"
    def __init__(self, vocab_size=64, image_size=32, **kw):
        self.vocab_size, self.image_size = vocab_size, image_size
        super().__init__(**kw)
class BothModel(PreTrainedModel):
    config_class = BothConfig
    def __init__(self, config):
        super().__init__(config)
        self.v = nn.Linear(3 * 32 * 32, 16)
        self.t = nn.Embedding(config.vocab_size, 16)
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.post_init()
    def forward(self, pixel_values, input_ids, attention_mask, **kw):
        words = (self.t(input_ids) * attention_mask[..., None]).sum(1)
        return {"image_features": self.v(pixel_values.flatten(1)), "text_features": words}
"""


def remote_code(folder: Path, _monkeypatch: pytest.MonkeyPatch, pictures: list[Image.Image]) -> Features:
    """Code beside the weights, whose forward alone gives features, of both towers at once."""
    import torch
    import transformers
    from safetensors.torch import save_file

    place, tokenizer = folder / "model", bert_tokenizer()
    place.mkdir()
    image, text = towers()
    (place / "modeling_both.py").write_text(CODE, encoding="utf-8")
    stated = {"model_type": "bothtowers", "architectures": ["BothModel"], "vocab_size": len(tokenizer)}
    stated |= {"auto_map": {"AutoConfig": "modeling_both.BothConfig", "AutoModel": "modeling_both.BothModel"}}
    (place / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    weights = {"v.weight": image.weight, "v.bias": image.bias, "t.weight": text.weight}
    weights["logit_scale"] = torch.tensor(4.6)
    save_file(
        {name: rows.detach().clone() for name, rows in weights.items()},
        place / "model.safetensors",
        metadata={"format": "pt"},
    )
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = transformers.CLIPProcessor(images, tokenizer)
    processor.save_pretrained(place)
    made = [images(each, return_tensors="pt").pixel_values[0] for each in pictures]
    words = [text(torch.tensor(tokenizer(each).input_ids)).sum(0) for each in SENTENCES]
    return image(torch.stack(made).flatten(1)), torch.stack(words)


KINDS: dict[str, Callable[[Path, pytest.MonkeyPatch, list[Image.Image]], Features]] = {
    function.__name__: function for function in (conch, biovil, openclip_fork, remote_code)
}


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_worked_example_gives_the_models_own_features(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    pictures = fixed_pictures()
    expected = KINDS[kind](tmp_path, monkeypatch, [Image.fromarray(each) for each in pictures])
    shutil.copy(EXAMPLES / f"{kind}.py", tmp_path)
    encoder = load_encoder(f"{tmp_path / kind}.py:build", trust_remote_code=True)
    rows = [torch.nn.functional.normalize(each.detach(), dim=-1).numpy() for each in expected]
    np.testing.assert_allclose(encoder.encode_images(pictures), rows[0], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(SENTENCES), rows[1], atol=1e-5)
    self_test(encoder)
    assert f"{kind}.py" in encoder.card.files
    assert len(encoder.card.files) == 2
    lines = (EXAMPLES / f"{kind}.py").read_text(encoding="utf-8").split("def build")[1].splitlines()
    assert len(lines) <= 26, "a worked example is short"


def test_all_examples_are_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(KINDS)


PLAIN = """
import numpy as np
from kpl.encoders import adapt

def build():
    return adapt("plain",
        images=lambda pictures: np.array([np.asarray(p.resize((4, 4)), float).ravel() for p in pictures]),
        texts=lambda sentences: np.array([[ord(c) % 31 for c in s.ljust(48)[:48]] for s in sentences]), count=len,
        context_length=400, image_size=32, files=[], licence="mine", modalities=("blood smear",))

def nothing():
    return 1

def broken():
    raise ValueError("no weights here")

def leaves():
    raise SystemExit("no licence")

def texts_only():
    return adapt("texts", images=None, texts=len, count=len, context_length=9, image_size=8, files=[])
"""


def test_an_adapter_runs_only_when_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLAIN + "\nopen('ran', 'w').close()\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match=r"is Python code.*--trust-remote-code"):
        load_encoder("./mine.py:build")
    assert not Path("ran").exists()
    assert load_encoder("./mine.py:build", trust_remote_code=True).card.licence == "mine"
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine.py:nothing", r"gives a int, no kpl.Encoder"),
        ("mine.py:broken", r"cannot be used: ValueError: no weights here"),
        ("mine.py:other", r"has no function 'other'"),
        ("others.py:build", r"no file 'others.py'"),
        ("mine.py:leaves", r"cannot be used: SystemExit: no licence"),
        ("mine.py", r"an adapter is named by its file and a function of it"),
        ("mine.py:Model.build", r"an adapter is named by its file and a function of it"),
        ("mine.py:texts_only", r"'texts': images is no function, and an encoder needs all three"),
    ],
)
def test_what_is_no_adapter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(PLAIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match=message):
        load_encoder(spec, trust_remote_code=True)


def test_a_changed_adapter_is_another_encoder(tmp_path: Path) -> None:
    from kpl.embeddings import encoder_identity

    found = []
    for more in ("", "\n# changed\n"):
        (tmp_path / "mine.py").write_text(PLAIN + more, encoding="utf-8")
        found.append(encoder_identity(load_encoder(f"{tmp_path}/mine.py:build", trust_remote_code=True)))
    assert found[0] != found[1]


def test_nothing_is_cut_and_shapes_are_checked() -> None:
    made = adapt(
        "a", images=lambda p: np.ones((len(p), 2)), texts=lambda s: np.ones((len(s), 2)), count=len, context_length=5,
        image_size=8, files=[],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"too long for 'a', which reads 5 tokens: sentence \d has 6"):
        made.encode_texts(["abcdef"])
    with pytest.raises(EncoderError, match=r"'b': its adapter's images gives an array of shape \(1,\), not \(n, d\)"):
        adapt("b", images=lambda p: np.ones(len(p)), texts=len, count=len, context_length=5, image_size=8, files=[])


def raising(_given: Any) -> Any:
    raise RuntimeError("no memory\nleft")


def rows(items: Any) -> Any:
    sizes = [len(item) if isinstance(item, str) else np.asarray(item, float).mean() for item in items]
    return np.array([[1.0 + size, 20.0] for size in sizes])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"texts": raising}, r"'c': its adapter's texts fails: RuntimeError: no memory left$"),
        ({"count": raising}, r"its adapter's count fails: RuntimeError: no memory left$"),
        ({"count": str}, r"its adapter's count gives '.*', not a whole number"),
        ({"texts": lambda s: rows(s)[:, :1]}, r"its adapter's texts gives \(4, 1\) for 4 of them, not \(4, 2\)"),
        ({"texts": lambda s: rows(s)[:1]}, r"its adapter's texts gives \(1, 2\) for 4 of them, not \(4, 2\)"),
        ({"texts": lambda s: rows(s) * np.nan}, r"its adapter's texts gives rows that are zero or not finite"),
        ({"images": lambda p: rows(p) * 0}, r"its adapter's images gives rows that are zero or not finite"),
        ({"texts": lambda s: rows(s) - 0.1 * rows(s).mean(0)}, r"features of sentences depend on the batch"),
    ],
)
def test_whatever_an_adapter_does_wrong_is_one_line(changed: dict[str, Any], message: str) -> None:
    given = {"images": rows, "texts": rows, "count": len} | changed
    made = adapt("c", context_length=99, image_size=8, files=[], **given)
    with pytest.raises(EncoderError, match=message) as refused:
        self_test(made)
    assert "\n" not in str(refused.value)


@pytest.mark.torch
def test_rows_may_be_a_list_and_of_any_number_type(tmp_path: Path) -> None:
    import torch

    scale = torch.tensor(3.0, requires_grad=True)
    made = adapt(
        "d", images=lambda p: [torch.tensor(row) * scale for row in rows(p)],
        texts=lambda s: torch.tensor(rows(s)).bfloat16(), count=len, context_length=99, image_size=8, files=[],
    )  # fmt: skip
    assert made.encode_images([np.zeros((9, 9, 3), np.uint8)]).shape == (1, 2)
    assert made.encode_texts(SENTENCES).dtype == np.float32


def test_an_adapter_may_hold_dataclasses(tmp_path: Path) -> None:
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    (tmp_path / "held.py").write_text(f"{head}\n@dataclass\nclass Held:\n    size: int = 3\n{PLAIN}", encoding="utf-8")
    self_test(load_encoder(f"{tmp_path}/held.py:build", trust_remote_code=True))


@pytest.mark.parametrize("batch", [1, 5, 40])
def test_many_sentences_of_an_adapter_have_the_rows_of_one_alone(tmp_path: Path, batch: int) -> None:
    (tmp_path / "mine.py").write_text(PLAIN, encoding="utf-8")
    made = load_encoder(f"{tmp_path}/mine.py:build", trust_remote_code=True)
    many = [f"{sentence}, number {k}" for k in range(10) for sentence in SENTENCES]
    parts = [made.encode_texts(many[start : start + batch]) for start in range(0, len(many), batch)]
    np.testing.assert_allclose(np.concatenate(parts), made.encode_texts(many), atol=1e-6)
