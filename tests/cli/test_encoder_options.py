"""Terms are told once before an encoder that is not shipped is loaded."""

import json
import shutil
from pathlib import Path

import pytest

from kpl.cli.options import chosen_encoder, tell_terms
from kpl.encoders import Encoder, registry
from kpl.encoders.bundles import write_bundle
from kpl.errors import EncoderError, InputError, UnknownNameError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    shutil.copytree(Path(registry.__file__).parent / "mini", tmp_path / "mine")
    return tmp_path / "mine"


def test_terms_are_told_once_in_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tell_terms(str(folder))
    told = capsys.readouterr().err
    assert "not for clinical use; licence: apache-2.0" in told.lower()
    assert len(told.splitlines()) == 1
    tell_terms(str(folder))
    assert capsys.readouterr().err == ""
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"licence": "other"}), encoding="utf-8")
    tell_terms(str(folder))
    assert "licence: other" in capsys.readouterr().err


def test_a_bundle_tells_the_terms_on_its_card(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(folder, folder.parent / "carried.kplenc")
    tell_terms(str(folder.parent / "carried.kplenc"))
    assert "not for clinical use; licence: apache-2.0" in capsys.readouterr().err.lower()
    (folder.parent / "notes.kplenc").write_text("my notes", encoding="utf-8")
    with pytest.raises(EncoderError, match="no bundle"):
        tell_terms(str(folder.parent / "notes.kplenc"))


def test_a_model_without_a_card_is_one_that_the_user_brought(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "card.json").unlink()
    tell_terms(str(folder))
    assert "you brought" in capsys.readouterr().err


def test_terms_are_told_where_nothing_can_be_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "home").write_text("a file", encoding="utf-8")
    for _ in range(2):
        tell_terms(str(folder))
        assert "licence" in capsys.readouterr().err


def test_shipped_and_absent_encoders_are_not_talked_about(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tell_terms("mini")
    tell_terms("biomedclip")
    assert capsys.readouterr().err == ""
    with pytest.raises(UnknownNameError):
        tell_terms("biomedclp")


def test_an_encoder_is_loaded_early_only_if_something_is_allowed(folder: Path) -> None:
    assert chosen_encoder(None) is None
    with pytest.raises(InputError, match="give --encoder too"):
        chosen_encoder(None, allow_pickle=True)
    assert chosen_encoder("mini", allow_pickle=False, trust_remote_code=False) == "mini"
    assert isinstance(chosen_encoder("mini", allow_pickle=True, trust_remote_code=False), Encoder)
