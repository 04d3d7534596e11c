"""Tables at the command line: what matters stays whole, whatever the screen."""

import pytest

from wtsflow.cli.kept import short_ids
from wtsflow.cli.tables import lines, needed
from wtsflow.model.terminal import Style, width

HEADS = ("run", "status", "workflow", "by", "ticket")
ROWS = [
    ("01M7YZP36Z", "unreachable", "fleet/patch-the-web-servers 12.10.3", "ann.deborah", ""),
    ("01M7YZNV1Z", "success", "表" * 30, "bob", ""),
]


def drawn(room: int | None, keep: int = 0, indent: str = "") -> list[str]:
    return list(lines(HEADS, ROWS, room, Style(), keep=keep, indent=indent))


@pytest.mark.parametrize("room", [1, 20, 50, 80, 200])
def test_no_line_is_wider_than_the_screen(room: int) -> None:
    assert [line for line in drawn(room, keep=2, indent="  ") if width(line) > room] == []


def test_the_first_columns_stay_whole_and_the_widest_gives_way() -> None:
    first = drawn(60, keep=2)[1]
    assert first.startswith("01M7YZP36Z  unreachable  fleet/patch")
    assert first.endswith("…  ann.deborah")


def test_a_column_with_nothing_in_it_is_left_out() -> None:
    assert "ticket" not in drawn(None)[0]
    assert next(lines(HEADS, [], None, Style())).split() == list(HEADS)


def test_what_goes_to_a_file_is_never_cut() -> None:
    assert any("表" * 30 in line for line in drawn(None))
    assert needed(HEADS, ROWS) == max(map(width, drawn(None)))


def test_a_cell_cannot_move_the_cursor() -> None:
    (_, row) = lines(("name",), [("a\x1b[2J\nb",)], 80, Style())
    assert row == r"a\x1b[2J\nb"


def test_ids_are_shortened_only_as_far_as_they_differ() -> None:
    far, near, nearer = "01M7YZP36ZAAAA", "01M7YZNV1ZAAAA", "01M7YZNV1ZABAA"
    assert short_ids([far, near]) == {far: "01M7YZP36Z", near: "01M7YZNV1Z"}
    assert set(short_ids([far, near, nearer]).values()) == {
        "01M7YZP36ZAA",
        "01M7YZNV1ZAA",
        "01M7YZNV1ZAB",
    }
