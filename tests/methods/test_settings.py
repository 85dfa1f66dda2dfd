"""Settings of methods from text: by the type of each, with the nearest name where one is unknown."""

from __future__ import annotations

import pytest

from kpl.errors import InputError, UnknownNameError
from kpl.methods import METHODS, make_method
from kpl.methods.settings import read_settings, settings_of


@pytest.mark.parametrize("name", list(METHODS))
def test_every_default_is_read_back_from_its_text(name):
    method = make_method(name)
    given = {key: getattr(method, key) for key in settings_of(method)}
    assert read_settings(name, [f"{key}={value}" for key, value in given.items()]) == given


@pytest.mark.parametrize("text", ["0.2,0.8", "[0.2, 0.8]"])
def test_a_prior_is_a_list(text):
    assert read_settings("otter", [f"prior={text}"]) == {"prior": (0.2, 0.8)}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["retreival=image"], UnknownNameError, "retrieval"),
        (["retrieval"], InputError, "NAME=VALUE"),
        (["retrieval=both"], InputError, "cannot be 'both'"),
        (["k=many"], InputError, "cannot be 'many'"),
        (["k=true"], InputError, "cannot be 'true'"),
        (["k=1", "k=2"], InputError, "given twice"),
    ],
)
def test_what_is_no_setting_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        read_settings("text", given)


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="kpl"):
        read_settings("kpll", [])
