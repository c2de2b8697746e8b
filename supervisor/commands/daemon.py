"""Runs a master in the background, and tells the caller how its start went.

Runs in: command line, becoming the master.
"""

import contextlib
import os
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brama.clock import monotonic_s
from brama.exit_codes import ExitCode

#: Runs a master until it is stopped; calls its argument once it serves. Returns the exit code.
Run = Callable[[Callable[[], None]], int]

_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Launch:
    """How a start went: ``failure`` is None when the master serves. ``pid`` is 0 if it never said."""

    pid: int
    failure: ExitCode | None


def launch(run: Run, *, folder: Path, error_log: Path, timeout_s: float) -> Launch:
    """Call ``run`` in a daemon; return in the caller once the daemon serves or has failed.

    What the daemon writes to stderr before it serves appears on the caller's stderr, later in ``error_log``.

    Args:
        run: becomes the daemon's whole life.
        folder: the daemon's working directory.
        error_log: takes what no log could, such as the interpreter's last words.
        timeout_s: how long to wait; a daemon that needs longer counts as failed, and goes on.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    report_out, report_in = os.pipe()
    words_out, words_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(report_out)
        os.close(words_out)
        _leave_session()
        sys.exit(_live(run, folder, error_log, report_in, words_in))
    os.close(report_in)
    os.close(words_in)
    os.waitpid(child, 0)
    try:
        return _await_report(report_out, words_out, timeout_s)
    finally:
        os.close(report_out)
        os.close(words_out)


def _leave_session() -> None:
    """Leave the caller's session for one without a terminal, and its leader behind."""
    os.setsid()
    if os.fork():
        os._exit(0)


def _live(run: Run, folder: Path, error_log: Path, report: int, words: int) -> int:
    os.chdir(folder)
    _replace(0, os.open(os.devnull, os.O_RDONLY))
    _replace(1, os.open(os.devnull, os.O_WRONLY))
    _replace(2, words)
    _say(report, b"pid %d\n" % os.getpid())

    is_awaited = True

    def on_ready() -> None:
        nonlocal is_awaited
        is_awaited = False
        sys.stderr.flush()
        _replace(2, os.open(error_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640))
        _say(report, b"ready\n")
        os.close(report)

    code = run(on_ready)
    sys.stderr.flush()
    if is_awaited:
        _say(report, b"exit %d\n" % code)
    return code


def _say(report: int, word: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # the caller was interrupted, which is no reason to end
        os.write(report, word)


def _replace(fd: int, by: int) -> None:
    os.dup2(by, fd)
    os.close(by)


def _await_report(report: int, words: int, timeout_s: float) -> Launch:
    deadline = monotonic_s() + timeout_s
    said = b""
    open_fds = {report, words}
    while report in open_fds and b"ready\n" not in said:
        remaining_s = deadline - monotonic_s()
        readable = select.select(list(open_fds), [], [], remaining_s)[0] if remaining_s > 0 else []
        if not readable:
            sys.stderr.write(
                f"brama-supervisor: the master does not serve after {timeout_s:g} s, and goes on\n"
            )
            return Launch(_number(said, b"pid "), ExitCode.FAILED)
        for fd in readable:
            chunk = os.read(fd, _CHUNK_BYTES)
            if not chunk:
                open_fds.discard(fd)
            elif fd == report:
                said += chunk
            else:
                _relay(chunk)
    pid = _number(said, b"pid ")
    if b"ready\n" in said:
        return Launch(pid, None)
    while chunk := os.read(words, _CHUNK_BYTES):
        _relay(chunk)
    if b"exit " not in said:
        sys.stderr.write(f"brama-supervisor: the master (pid {pid}) died before it served\n")
        return Launch(pid, ExitCode.FAILED)
    code = _number(said, b"exit ")
    return Launch(pid, ExitCode(code) if code in list(ExitCode) and code else ExitCode.FAILED)


def _relay(words: bytes) -> None:
    sys.stderr.write(words.decode(errors="replace"))
    sys.stderr.flush()


def _number(said: bytes, before: bytes) -> int:
    _, found, rest = said.rpartition(before)
    return int(rest.split()[0]) if found and rest.split() else 0
