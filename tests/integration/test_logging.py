"""Log lines on a real disk, a full one included."""

import json
import logging
import os
from pathlib import Path

import pytest
import structlog

from brama.log import configure_logging, get_logger
from brama.log_sink import LOOK_S, LogSink
from tests.waiting import wait_until

KEY = "AA" + "k" * 33


@pytest.fixture(autouse=True)
def restore_logging() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_of_ours_and_of_libraries_are_json_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "master.log"
    sink = configure_logging(path)
    get_logger("test").info("worker.exited", bot="shop", url=f"http://x/bot1:{KEY}/getMe")
    logging.getLogger("aiohttp").warning("failed for %s", f"bot1:{KEY}")
    try:
        raise ValueError(f"token 1:{KEY}")
    except ValueError:
        get_logger("test").exception("poll.failed")
    sink.close()
    ours, theirs, failure = lines(path)
    assert (ours["event"], ours["bot"], ours["level"]) == ("worker.exited", "shop", "info")
    assert theirs["event"] == "library.logged"
    assert "ValueError" in str(failure["exception"])
    assert KEY not in path.read_text()


def test_rotation_and_reopening_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "master.log"
    sink = LogSink(path, rotate_size_bytes=100, console=False)
    for number in range(6):
        sink.write(b'{"n": %d, "pad": "%s"}' % (number, b"x" * 20), "")
    sink.close()
    kept = [f"{path}.{n}" for n in (3, 2, 1)] + [str(path)]
    numbers = [row["n"] for name in kept if Path(name).exists() for row in lines(Path(name))]
    assert numbers == list(range(6))

    sink = LogSink(path, rotate_size_bytes=0, console=False)
    path.rename(tmp_path / "moved.log")
    sink.reopen()
    sink.write(b'{"n": 6}', "")
    sink.close()
    assert lines(path) == [{"n": 6}]


def test_a_folder_that_was_renamed_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "logs" / "master.log"
    sink = LogSink(path, rotate_size_bytes=0, console=False)
    path.parent.parent.rename(tmp_path / "old")
    sink.reopen()
    sink.write(b'{"n": 1}', "")
    sink.close()
    assert lines(path) == [{"n": 1}]


@pytest.mark.parametrize("moved", ["master.log", "../logs"], ids=["the file", "its folder"])
def test_a_log_that_was_renamed_away_is_noticed(tmp_path: Path, moved: str) -> None:
    path = tmp_path / "logs" / "master.log"
    now = [100.0]
    sink = LogSink(path, rotate_size_bytes=0, console=False, clock=lambda: now[0])
    sink.write(b'{"n": 1}', "")
    wait_until(lambda: path.read_bytes().count(b"\n") == 1, what="the first line")
    away = tmp_path / "away"
    (path.parent / moved).rename(away)
    old = away / "master.log" if away.is_dir() else away
    sink.write(b'{"n": 2}', "")
    wait_until(lambda: old.read_bytes().count(b"\n") == 2, what="the second line, before the next look")
    now[0] += LOOK_S
    sink.write(b'{"n": 3}', "")
    sink.close()
    assert (lines(old), lines(path)) == ([{"n": 1}, {"n": 2}], [{"n": 3}])


def test_the_old_file_is_kept_when_no_new_one_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "master.log"
    sink = LogSink(path, rotate_size_bytes=0, console=False)
    path.parent.rename(tmp_path / "away")
    (tmp_path / "logs").write_text("a file where the folder was")
    sink.write(b'{"n": 1}', "")
    sink.close()
    assert lines(tmp_path / "away" / "master.log") == [{"n": 1}]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_drops_lines_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "master.log"
    path.symlink_to("/dev/full")
    sink = LogSink(path, rotate_size_bytes=0, console=False)
    for _ in range(3):
        sink.write(b'{"event": "lost"}', "")
    wait_until(lambda: sink.dropped == 3, what="three lines dropped")
    path.unlink()
    sink.reopen()
    sink.write(b'{"event": "kept"}', "")
    sink.close()
    said = lines(path)
    assert [(line["event"], line.get("count")) for line in said] == [("log.lines_dropped", 3), ("kept", None)]
