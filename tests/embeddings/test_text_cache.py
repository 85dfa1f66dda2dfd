from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kpl.embeddings import TextCache, embed_texts
from kpl.encoders import load_encoder

PROMPTS = [["a round cell", "granules"], ["a round cell"], ["a lobed nucleus", "pale cytoplasm"]]


@pytest.fixture
def cache(tmp_path: Path) -> TextCache:
    return TextCache(tmp_path / "deep" / "texts.sqlite")


@pytest.fixture
def counted(fake_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The fake encoder, counting the sentences it encodes."""
    fake_encoder.numerics = "numpy"
    fake_encoder.sentences = []
    encode = fake_encoder.encode_texts

    def count(sentences: list[str]) -> Any:
        fake_encoder.sentences += sentences
        return encode(sentences)

    monkeypatch.setattr(fake_encoder, "encode_texts", count)
    return fake_encoder


def same(a: list[Any], b: list[Any]) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_sentence_is_encoded_once(counted: Any, cache: TextCache) -> None:
    first = embed_texts(PROMPTS, counted, cache=cache)
    assert counted.sentences == ["a round cell", "granules", "a lobed nucleus", "pale cytoplasm"]
    same(embed_texts(PROMPTS, counted, cache=cache), first)
    same(embed_texts(PROMPTS, counted), first)
    assert len(counted.sentences) == 8
    embed_texts([["granules", "a new one"]], counted, cache=cache)
    assert counted.sentences[8:] == ["a new one"]


def test_the_bytes_of_mini_are_the_same_with_and_without_it(cache: TextCache) -> None:
    mini = load_encoder("mini")
    plain = embed_texts(PROMPTS, mini)
    embed_texts([PROMPTS[0]], mini, cache=cache)
    same(embed_texts(PROMPTS, mini, cache=cache), plain)
    same(embed_texts(PROMPTS[::-1], mini, cache=cache), plain[::-1])


def test_other_encoders_and_other_numerics_share_nothing(counted: Any, cache: TextCache) -> None:
    embed_texts(PROMPTS, counted, cache=cache)
    other = type(counted)("other")
    other.numerics = "numpy"
    same(embed_texts(PROMPTS, other, cache=cache), embed_texts(PROMPTS, other))
    counted.sentences.clear()
    counted.numerics = "numpy, bfloat16"
    embed_texts(PROMPTS, counted, cache=cache)
    assert len(counted.sentences) == 4


def test_an_encoder_that_does_not_state_its_numerics_is_not_cached(fake_encoder: Any, cache: TextCache) -> None:
    embed_texts(PROMPTS, fake_encoder, cache=cache)
    assert not cache.path.exists()


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "folder"])
def test_a_damaged_cache_is_done_without(counted: Any, cache: TextCache, damage: str) -> None:
    plain = embed_texts(PROMPTS, counted, cache=cache)
    data = cache.path.read_bytes()
    if damage == "folder":
        cache.path.unlink()
        cache.path.mkdir()
    else:
        cache.path.write_bytes({"text": b"not a data base " * 400, "cut": data[: len(data) // 2], "empty": b""}[damage])
    same(embed_texts(PROMPTS, counted, cache=cache), plain)
    same(embed_texts(PROMPTS, counted, cache=cache), plain)


def test_a_damaged_row_is_encoded_again(counted: Any, cache: TextCache) -> None:
    plain = embed_texts(PROMPTS, counted, cache=cache)
    base = sqlite3.connect(cache.path)
    with base:
        base.execute("UPDATE rows SET value = zeroblob(length(value))")
    base.close()
    counted.sentences.clear()
    same(embed_texts(PROMPTS, counted, cache=cache), plain)
    assert len(counted.sentences) == 4
    same(embed_texts(PROMPTS, counted, cache=cache), plain)
    assert len(counted.sentences) == 4


def test_a_cache_that_cannot_be_written_is_done_without(counted: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = TextCache(tmp_path / "file" / "texts.sqlite")
    same(embed_texts(PROMPTS, counted, cache=blocked), embed_texts(PROMPTS, counted))


def test_a_cache_that_another_run_holds_is_done_without(
    counted: Any, cache: TextCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = embed_texts(PROMPTS, counted, cache=cache)
    monkeypatch.setattr("kpl.embeddings.text_cache._SECONDS_TO_WAIT", 0.01)
    base = sqlite3.connect(cache.path)
    base.execute("BEGIN EXCLUSIVE")
    same(embed_texts(PROMPTS, counted, cache=cache), plain)
    base.close()


def test_the_rows_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = TextCache(tmp_path / "texts.sqlite", max_bytes=40)
    rows = {name: np.full(2, k, np.float32) for k, name in enumerate("abcde")}
    for name in "abcd":
        cache.put({name: rows[name]})
    assert list(cache.get(["a"], dim=2)) == ["a"]
    cache.put({"e": rows["e"]})
    assert len(cache.get(list("abcde"), dim=2)) == 5
    cache.get(["b"], dim=2)
    cache.put({"f": rows["a"]})
    assert set(cache.get(list("abcdef"), dim=2)) == {"b", "f"}


def test_rows_of_another_width_are_not_taken(cache: TextCache) -> None:
    cache.put({"a": np.ones(3, np.float32)})
    assert cache.get(["a"], dim=2) == {}
