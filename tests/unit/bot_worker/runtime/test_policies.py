"""What exceptions mean, and when to save: tables."""

import errno
import warnings

import httpx
import pytest
from telegram.error import BadRequest, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from bot_worker.runtime.policy.boot_failure import (
    ConfigurationError,
    EntryMissingError,
    cause_of,
    end_before_ready,
)
from bot_worker.runtime.policy.failure import MAX_DETAIL_CHARACTERS, MAX_TRACEBACK_CHARACTERS, Failure
from bot_worker.runtime.policy.flush_pace import MAX_PAUSE_S, MAX_TRIES, Verdict, judge, next_pause_s
from brama.exit_codes import ExitCode


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def flood(seconds: int) -> RetryAfter:
    with warnings.catch_warnings(action="ignore"):
        return RetryAfter(seconds)


@pytest.mark.parametrize(
    ("error", "before_send"),
    [
        (caused(NetworkError("x"), httpx.ConnectError("x")), True),
        (caused(TimedOut(), httpx.ConnectTimeout("x")), True),
        (caused(TimedOut("pool"), httpx.PoolTimeout("x")), True),
        (caused(ValueError(), caused(TimedOut(), httpx.PoolTimeout("x"))), True),
        (caused(TimedOut(), httpx.ReadTimeout("x")), False),
        (caused(NetworkError("x"), httpx.RemoteProtocolError("x")), False),
        (caused(BadRequest("x"), httpx.ConnectError("x")), False),
        (httpx.ConnectError("x"), False),
        (NetworkError("x"), False),
    ],
)
def test_before_send(error, before_send):
    assert Failure.of(error).before_send is before_send


def test_a_circle_of_causes_ends():
    first, second = ValueError(1), ValueError(2)
    caused(first, second)
    caused(second, first)
    assert Failure.of(first).before_send is False


def test_texts_are_bounded_and_redacted():
    token = "1001:" + "A" * 35
    failure = Failure.of(ValueError(f"{token} " * 5000))
    assert len(failure.detail) == MAX_DETAIL_CHARACTERS
    assert len(failure.traceback) <= MAX_TRACEBACK_CHARACTERS
    assert token not in failure.detail + failure.traceback
    told = Failure.of(flood(3)).message(5, wrote=True)
    assert (told.seq, told.retry_after_s, told.wrote, told.error) == (
        5,
        3.0,
        True,
        "telegram.error.RetryAfter",
    )


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NetworkError("x"), "network"),
        (TimedOut(), "network"),
        (flood(1), "network"),
        (ConnectionRefusedError(), "network"),
        (TimeoutError(), "network"),
        (httpx.ReadError("x"), "network"),
        (BadRequest("x"), "build"),
        (InvalidToken(), "token"),
        (Forbidden("x"), "token"),
        (ModuleNotFoundError("x"), "import"),
        (SyntaxError("x"), "import"),
        (EntryMissingError("x"), "import"),
        (ConfigurationError("x"), "config"),
        (MemoryError(), "config"),
        (FileNotFoundError(errno.ENOENT, "x"), "build"),
        (RuntimeError(), "build"),
    ],
)
def test_cause(error, cause):
    assert cause_of(error) == cause
    end = end_before_ready(error, "bot.py:1")
    assert end.code == (ExitCode.TEMPORARY if cause == "network" else ExitCode.CONFIG)
    assert end.failure is not None
    assert "\n" not in end.failure.detail


def test_exits_of_the_script_itself():
    assert end_before_ready(SystemExit(5), "") == (5, None)
    assert end_before_ready(SystemExit("text"), "") == (1, None)
    assert end_before_ready(KeyboardInterrupt(), "") == (130, None)
    for error in (None, SystemExit(), SystemExit(0)):
        code, failure = end_before_ready(error, "")
        assert code == ExitCode.CONFIG
        assert failure is not None
        assert failure.cause == "no_application"


def test_a_group_counts_as_its_first_error():
    group = ExceptionGroup("x", [ExceptionGroup("y", [TimedOut()]), ValueError()])
    assert end_before_ready(group, "").code == ExitCode.TEMPORARY


def test_memory_error_names_the_key():
    failure = end_before_ready(MemoryError(), "bot.py:3").failure
    assert failure is not None
    assert "limits.memory_per_worker" in failure.detail


@pytest.mark.parametrize(
    ("duration_s", "failures", "pause_s"),
    [
        (0.0, 0, 0.25),
        (0.01, 0, 0.25),
        (0.1, 0, 2.0),
        (5.0, 0, 100.0),
        (0.0, 1, 0.5),
        (0.0, 3, 2.0),
        (0.0, 50, MAX_PAUSE_S),
    ],
)
def test_pause(duration_s, failures, pause_s):
    assert next_pause_s(duration_s, failures) == pytest.approx(pause_s)


def test_a_disk_is_waited_for_without_end_and_nothing_else_is():
    full = OSError(errno.ENOSPC, "full")
    assert judge([], 0) is Verdict.SAVED
    assert judge([full], 1000) is Verdict.AGAIN
    assert judge([ValueError(), full], 1000) is Verdict.AGAIN
    assert judge([ValueError()], MAX_TRIES - 1) is Verdict.AGAIN
    assert judge([ValueError()], MAX_TRIES) is Verdict.HOPELESS
