"""Output cut into lines that a terminal can be trusted with."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from wtsflow.engine.lines import LIMIT, LineSplitter


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.close()]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"10%\r20%\r30%\n", ["10%", "20%", "30%"]),
        (b"a\r\r\nb", ["a", "", "b"]),
        (b"col\tumn\n", ["col\tumn"]),
        ("Grüße 🎉 日本\n".encode(), ["Grüße 🎉 日本"]),
        (b"\xff\xfeok\n", ["\\xff\\xfeok"]),
        (b"\xe2\x82\n", ["\\xe2\\x82"]),
        (b"\x1b[2J\x07\n", ["\\x1b[2J\\x07"]),
        (b"a\x00b\x7f\n", ["a\\x00b\\x7f"]),
        ("\x9b31m\n".encode(), ["\\x9b31m"]),
        ("file\u202egpj.exe\n".encode(), ["file\\u202egpj.exe"]),
        ("a\u2028b\u200bc\ufeff\n".encode(), ["a\\u2028b\\u200bc\\ufeff"]),
        ("\U000e0041\n".encode(), ["\\U000e0041"]),
        (b"\x0b\x0c\n", ["\\x0b\\x0c"]),
    ],
)
def test_T39_what_a_terminal_would_obey_is_written_out(data: bytes, lines: list[str]) -> None:
    assert split(data) == lines
    assert split(*(data[i : i + 1] for i in range(len(data)))) == lines


@given(st.binary(max_size=300))
def test_T39_no_line_holds_anything_that_moves_a_cursor(data: bytes) -> None:
    for line in split(data):
        assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in line if sign != "\t")


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_the_lines_are_the_same_wherever_the_chunks_end(data: bytes, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(borders)]
    assert split(*chunks) == split(data)


def test_a_line_is_out_as_soon_as_it_is_complete() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\r") == ["two"]
    assert splitter.feed(b"\nthree") == []
    assert splitter.close() == ["three"]


def test_T43_an_endless_line_is_cut_and_bounded() -> None:
    splitter = LineSplitter()
    seen = 0
    for _ in range(64):
        for line in splitter.feed(b"x" * 10_000):
            assert len(line) == LIMIT
            seen += 1
        assert len(splitter._rest) <= LIMIT
    assert seen == 64 * 10_000 // LIMIT


def test_a_long_line_is_not_cut_inside_a_character() -> None:
    text = "a" + "€" * 40_000
    pieces = split(text.encode() + b"\n")
    assert "".join(pieces) == text
    assert len(pieces) == 2


def test_a_long_line_among_short_ones_is_cut_where_it_is() -> None:
    lines = split(b"short\n" + b"y" * (LIMIT + 5) + b"\nend\n")
    assert [len(line) for line in lines] == [5, LIMIT, 5, 3]


def test_T40_a_line_cannot_forge_another_one() -> None:
    forged = b'x\x85{"event":"forged"}\xe2\x80\xa8{"event":"forged"}\x0b{"event":"forged"}\n'
    assert len(split(forged)) == 1
    assert len(split(forged)[0].splitlines()) == 1


def test_lines_keep_up_with_output() -> None:
    import time

    block = b"\x1b[32mOK\x1b[0m 2026-01-01 10:00:00 web01 request handled in 3 ms \xc3\xa4\n" * 1000
    splitter = LineSplitter()
    begun = time.process_time()
    for _ in range(100):
        splitter.feed(block)
    assert 100 * len(block) / 1e6 / (time.process_time() - begun) > 8
