"""A worker's log: what gets into it, what does not, what happens when it is renamed or the disk is full."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from brama.messages import ReopenLog
from tests.integration.zygote_master import Master, token_of
from tests.waiting import wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """A master with a warm zygote for all tests here."""
    master = Master(tmp_path_factory.mktemp("log"))
    yield master
    master.close()


@pytest.fixture
def master(stage: Master) -> Iterator[Master]:
    """The same one, with no worker and no log of another test."""
    for log in stage.folder.glob("worker_*.log*"):
        log.unlink()
    yield stage
    for worker in stage.workers:
        worker.close()
    stage.workers.clear()


def _logs(master: Master) -> dict[str, str]:
    return {log.name: log.read_text() for log in sorted(master.folder.glob("worker_shop.log*"))}


# --- what is written ----------------------------------------------------------------------------------


def test_output_is_as_the_bot_wrote_it(master):
    worker = master.start()
    worker.ask("print('first', end=' ')\nprint('line')")
    worker.ask("import sys\nsys.stderr.write('second line\\n')")
    worker.ask("sys.stdout.buffer.write(b'third \\xff line\\n')")
    worker.ask("import subprocess\nsubprocess.run(['echo', 'fourth line'], stdout=sys.stdout).returncode")
    worker.ask("import os\nos.write(2, b'fifth line\\n')")
    assert master.log_path().read_bytes() == (
        b"first line\nsecond line\nthird \xff line\nfourth line\nfifth line\n"
    )
    assert stat.S_IMODE(master.log_path().stat().st_mode) == 0o600


def test_text_that_is_no_unicode_is_escaped(master):
    master.start().ask("print('\\ud800 and ü')")
    assert master.log_path().read_text() == "\\ud800 and ü\n"


def test_unfinished_lines_appear_when_flushed(master):
    worker = master.start()
    worker.ask("print('unfinished', end='') or 1")
    assert master.log_path().read_text() == ""
    worker.ask("print('', end='', flush=True) or 1")
    assert master.log_path().read_text() == "unfinished"


def test_tokens_are_hidden_in_every_line(master):
    token = token_of("shop")
    odd = "no-digits-before:the-colon-but-secret"
    worker = master.start()
    worker.ask("import logging, sys\nlogging.basicConfig(level='INFO')\n1")
    worker.ask("logging.info('HTTP Request: POST https://api.telegram.org/bot%s/getMe', boot.token) or 1")
    worker.ask("print(boot.token, {'url': f'/bot{boot.token}/'}) or 1")
    worker.ask("sys.stdout.buffer.write(boot.token.encode())")
    worker.ask("try: raise ValueError(boot.token)\nexcept ValueError: logging.exception('oh')\n1")
    log = master.log_path().read_text()
    assert token not in log
    assert token.partition(":")[2] not in log
    assert log.count("<hidden>") == 5
    assert "Traceback (most recent call last):\n" in log
    master.start("odd", token=odd).ask("print('it is', boot.token) or 1")
    assert master.log_path("odd").read_text() == "it is <hidden>\n"


def test_streams_have_what_programs_ask_of_them(master):
    worker = master.start()
    assert worker.ask("import sys\n[sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.fileno()]") == [
        "utf-8",
        False,
        1,
    ]
    assert worker.ask("[sys.stderr.name, sys.stderr.mode, sys.stderr is sys.__stderr__]") == [
        "<stderr>",
        "w",
        True,
    ]
    assert worker.ask("sys.stdout.reconfigure(line_buffering=False) or sys.stdout.writable()")
    assert worker.ask("sys.stdin.read()") == ""


# --- rotation -----------------------------------------------------------------------------------------


def test_a_full_file_becomes_the_first_of_three(master):
    worker = master.start(log_max_bytes=100)
    worker.ask("for number in range(100): print(f'line {number:03}')\n1")
    logs = _logs(master)
    assert list(logs) == ["worker_shop.log", "worker_shop.log.1", "worker_shop.log.2", "worker_shop.log.3"]
    together = "".join(logs[name] for name in sorted(logs, reverse=True)[:-1]) + logs["worker_shop.log"]
    assert all(100 <= len(text) <= 110 for name, text in logs.items() if name != "worker_shop.log")
    lines = together.splitlines()
    assert lines == [f"line {number:03}" for number in range(100 - len(lines), 100)]


def test_a_file_that_is_full_at_the_start_is_rotated_first(master):
    master.log_path().write_text("old " * 100)
    master.start(log_max_bytes=100).ask("print('new') or 1")
    assert _logs(master) == {"worker_shop.log": "new\n", "worker_shop.log.1": "old " * 100}


def test_no_line_is_lost_when_somebody_renames_the_file(master):
    worker = master.start()
    worker.ask("print('one') or 1")
    master.log_path().rename(master.folder / "worker_shop.log.old")
    worker.ask("print('two') or 1")
    worker.send(ReopenLog())
    worker.ask("print('three') or 1")
    assert _logs(master) == {"worker_shop.log": "three\n", "worker_shop.log.old": "one\ntwo\n"}


def test_a_process_that_the_bot_forked_follows_and_does_not_rotate(master):
    worker = master.start(log_max_bytes=100)
    worker.ask(
        "import os\n"
        "asks, answers = os.pipe(), os.pipe()\n"
        "if os.fork() == 0:\n"
        "    for word in iter(lambda: os.read(asks[0], 1), b'.'):\n"
        "        print('child', word.decode(), flush=True)\n"
        "        os.write(answers[1], b'.')\n"
        "    os._exit(0)\n"
        "def child(word): return os.write(asks[1], word) and len(os.read(answers[0], 1))\n"
        "1"
    )
    worker.ask("child(b'a')")
    worker.ask("print('x' * 100) or 1")
    worker.ask("child(b'b')")
    worker.ask("child(b'c')")
    worker.ask("os.write(asks[1], b'.') and os.wait()[1]")
    logs = _logs(master)
    assert list(logs) == ["worker_shop.log", "worker_shop.log.1"]
    assert "".join(logs[name] for name in reversed(logs)).replace("x", "").split() == (
        ["child", "a", "child", "b", "child", "c"]
    )
    assert "child c" in logs["worker_shop.log"]


@as_root
@pytest.mark.parametrize("folder_mode", [0o700, 0o755])
def test_a_worker_that_may_not_rename_copies(master, folder_mode):
    with TemporaryDirectory(prefix="brama-test-") as folder:
        Path(folder).chmod(folder_mode)
        log = Path(folder) / "worker.log"
        worker = master.start(log_path=str(log), log_max_bytes=100, uid=23001, gid=23001, cwd="/")
        worker.ask("for number in range(30): print(f'line {number:03}')\n1")
        assert log.stat().st_size < 100 <= Path(f"{log}.1").stat().st_size <= 110
        lines = (Path(f"{log}.1").read_text() + log.read_text()).splitlines()
        assert lines == [f"line {number:03}" for number in range(30 - len(lines), 30)]
        assert len(lines) >= 12


@pytest.mark.parametrize("uid", [None, pytest.param(23001, marks=as_root)])
def test_a_folder_that_was_renamed_away_is_made_again(master, uid):
    with TemporaryDirectory(prefix="brama-test-") as folder:
        Path(folder).chmod(0o755)
        log = Path(folder) / "gone" / "logs" / "worker.log"
        worker = master.start(log_path=str(log), uid=uid, gid=uid, cwd="/")
        worker.ask("print('found') or 1")
        assert log.read_text() == "found\n"


# --- a full disk --------------------------------------------------------------------------------------


def test_lines_are_dropped_on_a_full_disk_and_counted_when_there_is_room(master):
    master.log_path().symlink_to("/dev/full")
    worker = master.start()
    worker.ask("for number in range(7): print('lost')\n1")
    worker.ask("import sys\nsys.stderr.write('lost\\nlost\\n')")
    master.log_path().unlink()
    worker.send(ReopenLog())
    worker.ask("print('found') or 1")
    assert master.log_path().read_text() == "[brama] 9 lines could not be written here\nfound\n"


def test_a_line_that_was_cut_by_a_full_disk_is_ended_before_the_count(master):
    worker = master.start()
    worker.ask("import resource as r\nr.setrlimit(r.RLIMIT_FSIZE, (10, r.RLIM_INFINITY)) or 1")
    worker.ask("print('0123456789abcdef') or print('more') or 1")
    worker.ask("r.setrlimit(r.RLIMIT_FSIZE, (r.RLIM_INFINITY,) * 2) or 1")
    worker.ask("print('after') or 1")
    assert master.log_path().read_text() == "0123456789\n[brama] 2 lines could not be written here\nafter\n"


def test_a_file_that_cannot_be_made_on_a_full_disk_is_made_once_there_is_room(master):
    worker = master.start()
    worker.ask(
        "import errno, os\n"
        "from bot_worker.log_file import LogFile\n"
        "really_open, room = os.open, []\n"
        "def open_on_full_disk(path, *rest, **named):\n"
        "    if path == boot.log_path + '.late' and not room: raise OSError(errno.ENOSPC, 'full')\n"
        "    return really_open(path, *rest, **named)\n"
        "os.open = open_on_full_disk\n"
        "log = LogFile(boot.log_path + '.late', 0)\n"
        "log.install()\n"
        "log.write(b'lost\\n')\n"
        "room.append(True)\n"
        "log.write(b'found\\n')\n"
        "1"
    )
    assert _logs(master)["worker_shop.log.late"] == "[brama] 1 lines could not be written here\nfound\n"


def test_threads_do_not_tear_each_others_lines(master):
    worker = master.start(log_max_bytes=20_000)
    worker.ask(
        "import threading\n"
        "def talk(name):\n"
        "    for _ in range(200): print(name * 50)\n"
        "threads = [threading.Thread(target=talk, args=(name,)) for name in 'abcd']\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "1"
    )
    wait_until(lambda: len(_logs(master)) == 3)
    lines = "".join(_logs(master).values()).splitlines()
    assert len(lines) == 800
    assert {len(line) for line in lines} <= {0, 50, 100, 150, 200}
    assert sum(len(line) for line in lines) == 800 * 50
