"""The public face: what ``wtsflow`` exports, and nothing else, is what may be built on."""

import pytest

import wtsflow

SURFACE = frozenset({"__version__"})


def test_the_surface_is_what_is_listed_here() -> None:
    assert set(wtsflow.__all__) == SURFACE


@pytest.mark.parametrize("name", sorted(SURFACE))
def test_an_exported_name_is_there(name: str) -> None:
    assert hasattr(wtsflow, name)


def test_the_list_is_sorted_and_has_nothing_twice() -> None:
    assert list(wtsflow.__all__) == sorted(set(wtsflow.__all__))
