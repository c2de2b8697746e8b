"""Reading and following log files that are rotated, truncated and written line by line."""

import os
from pathlib import Path

import pytest

from supervisor.commands.logs import _read_end, make_safe, readable_event
from supervisor.commands.tail import Tail


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("content", "lines", "expected", "rest"),
    [
        ("", 5, [], ""),
        ("a\nb\nc\n", 2, ["b", "c"], ""),
        ("a\nb\nc\n", 3, ["a", "b", "c"], ""),
        ("a\nb\nc\n", 9, ["a", "b", "c"], ""),
        ("a\nb\nc\n", 0, [], ""),
        ("a\nb\nhalf", 2, ["b"], "half"),
        ("half", 1, [], "half"),
        ("\n\n\n", 2, ["", ""], ""),
    ],
)
def test_the_last_lines(tmp_path, content, lines, expected, rest):
    path = tmp_path / "master.log"
    path.write_text(content)
    tail = Tail(path, lines)
    assert [line.decode() for line in tail.read_end()] == expected
    assert tail.read_rest().decode() == rest
    tail.close()


def test_the_last_lines_of_a_large_file(tmp_path):
    path = tmp_path / "master.log"
    path.write_text("".join(f"line {number} {'x' * (number % 997)}\n" for number in range(5000)))
    tail = Tail(path, 1500)
    found = tail.read_end()
    tail.close()
    assert len(found) == 1500
    assert found[0].startswith(b"line 3500 ")
    assert found[-1].startswith(b"line 4999 ")


def test_a_line_longer_than_a_block(tmp_path):
    path = tmp_path / "master.log"
    path.write_text("first\n" + "x" * 200_000 + "\nlast\n")
    tail = Tail(path, 2)
    assert [len(line) for line in tail.read_end()] == [200_000, 4]
    tail.close()


def test_following_goes_on_over_rotation_without_losing_a_line(tmp_path):
    path = tmp_path / "worker_shop.log"
    path.write_text("one\n")
    tail = Tail(path, 10)
    assert tail.read_end() == [b"one"]
    following = tail.follow()
    append(path, "two\nthr")
    assert next(following) == b"two"
    append(path, "ee\n")
    assert next(following) == b"three"
    old = path.open("a")
    path.rename(tmp_path / "worker_shop.log.1")
    old.write("written after the rename\n")
    old.flush()
    assert next(following) == b"written after the rename"
    old.write("the last of the old\nwithout newline")
    old.close()
    path.write_text("the first of the new\n")
    assert [next(following) for _ in range(3)] == [
        b"the last of the old",
        b"without newline",
        b"the first of the new",
    ]
    following.close()


def test_following_starts_over_when_the_file_is_truncated(tmp_path):
    path = tmp_path / "master.log"
    path.write_text("a long first line\n")
    tail = Tail(path, 10)
    tail.read_end()
    following = tail.follow()
    append(path, "more\n")
    assert next(following) == b"more"
    os.truncate(path, 0)
    append(path, "new\n")
    assert next(following) == b"new"
    following.close()


def test_following_says_that_it_waits_for_a_file(tmp_path, capsys):
    path = tmp_path / "master.log"
    assert _read_end(Tail(path, 10), path, "master", may_be_missing=True) == []
    assert capsys.readouterr().err == (
        f"{path} is not there: no master has run with this logs_dir, or the file was moved; waiting for it\n"
    )


def test_following_waits_for_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "master.log"
    tail = Tail(path, 10)
    with pytest.raises(FileNotFoundError):
        tail.read_end()
    following = tail.follow()
    path.write_text("there\n")
    assert next(following) == b"there"
    following.close()


def test_events_become_words_and_other_lines_stay():
    head = '{"at": "2026-01-02T12:00:01.000Z", "level": "info", '
    line = head + '"event": "worker.exited", "bot": "shop", "code": -9}'
    assert readable_event(line) == "12:00:01 info    worker.exited bot=shop code=-9"
    assert readable_event("Traceback (most recent call last):") == "Traceback (most recent call last):"
    assert readable_event("[1]") == "[1]"


def test_a_log_moves_no_cursor_and_sets_no_title():
    assert make_safe("\x1b]0;owned\x07 \x1b[2J\x9b") == "\\x1b]0;owned\\x07 \\x1b[2J\\x9b"
    assert make_safe("\x1b[31mred\x1b[0m\tplain é") == "\x1b[31mred\x1b[0m\tplain é"
