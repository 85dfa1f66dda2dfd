import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from kpl.errors import OutputError
from kpl.images.pseudonyms import found_by_pseudonym, key_file, pseudonym, read_key


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))


def test_the_key_is_made_once_and_is_the_users_alone():
    assert read_key() is None
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: pseudonym("patient", "4711"), range(8)))
    assert len(found) == 1
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert pseudonym("patient", "4711", key=read_key()) in found


def test_another_key_gives_other_pseudonyms(monkeypatch, tmp_path):
    first = pseudonym("study", "1.2.3")
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "other"))
    assert pseudonym("study", "1.2.3") != first
    assert len(first) == 32


def test_a_number_joins_whoever_issued_it_unless_two_patients_have_it():
    pseudonym("path", "")
    key = read_key() or b""
    one, two, other = (pseudonym("patient", *of) for of in (("7", "Ward A"), ("7", "Ward B"), ("8", "Ward A")))
    assert len({one, two, other}) == 3
    study = pseudonym("study", "1.2")
    look = found_by_pseudonym([(0, one, [study]), (1, other, []), (2, one, []), (3, "", [])], key)
    assert [look(name) for name in ("7", " 7 ", "8", "9", "", "1.2", one)] == [[0, 2], [0, 2], [1], [], [], [0], [0, 2]]
    look = found_by_pseudonym([(0, one, []), (1, two, [])], key)
    assert [look(name) for name in ("7", one)] == [[], [0]]


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32])
def test_a_damaged_key_is_said_and_never_replaced(text):
    key_file().parent.mkdir(parents=True)
    key_file().write_text(text)
    with pytest.raises(OutputError, match="no key of pseudonyms"):
        pseudonym("patient", "4711")
    assert key_file().read_text() == text
