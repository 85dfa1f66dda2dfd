from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpl.embeddings import embed_texts, encoder_identity
from kpl.encoders.protocol import Encoder
from kpl.errors import EncoderError, InputError


def test_the_fake_encoder_obeys_the_protocol(fake_encoder: Any) -> None:
    assert isinstance(fake_encoder, Encoder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.lists(st.text("ab ", min_size=1, max_size=5), min_size=1, max_size=4), min_size=1, max_size=5))
def test_each_class_gets_its_own_sentences(fake_encoder: Any, prompts: list[list[str]]) -> None:
    features = embed_texts(prompts, fake_encoder)
    assert [len(rows) for rows in features] == [len(sentences) for sentences in prompts]
    for rows, sentences in zip(features, prompts, strict=True):
        np.testing.assert_array_equal(rows, fake_encoder.encode_texts(sentences))


def test_classes_and_sentences_must_be_there(fake_encoder: Any) -> None:
    with pytest.raises(InputError, match="no class"):
        embed_texts([], fake_encoder)
    with pytest.raises(InputError, match="class 1 of 2 has no sentence"):
        embed_texts([["a"], []], fake_encoder)


def test_wrong_text_features_are_caught(fake_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_encoder, "encode_texts", lambda s: np.zeros((len(s), 49), np.float32))
    with pytest.raises(EncoderError, match="of length 0"):
        embed_texts([["a"]], fake_encoder)


def test_the_identity_follows_what_shapes_features_and_nothing_else(fake_encoder: Any) -> None:
    make = type(fake_encoder)
    same = encoder_identity(fake_encoder)
    assert same.startswith("fake:")
    assert encoder_identity(make(limits="now better described", figures="1")) == same
    for change in (
        {"files": {"fake.bin": "1" * 64}},
        {"image_size": 9},
        {"resize": "shortest"},
        {"mean": (0.0, 0.0, 0.0)},
    ):
        assert encoder_identity(make(**change)) != same
    assert encoder_identity(make("mini")) != same
