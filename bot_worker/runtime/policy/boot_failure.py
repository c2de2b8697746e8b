"""What it means that a script ended: which exit code, and why, in one line for the operator.

Runs in: worker.
"""

from typing import Literal, NamedTuple

import httpx
from telegram.error import Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from bot_worker.runtime.policy.failure import qualified_name
from brama.exit_codes import ExitCode
from brama.messages import BootFailed
from brama.redaction import redact

Cause = Literal["import", "build", "no_application", "two_applications", "token", "network", "config"]

MAX_DETAIL_CHARACTERS = 300


class EntryMissingError(Exception):
    """The entry point does not exist or has not the shape it must have; the text is one line."""


class ConfigurationError(Exception):
    """The bot cannot be run as configured; the text is one line."""


class End(NamedTuple):
    """The exit code, and what to tell the master before."""

    code: int
    failure: BootFailed | None


def end_before_ready(error: BaseException | None, place: str) -> End:
    """Decide what it means that the script ended, with ``error`` if it raised, before it polled.

    Args:
        place: where in the bot's code it was raised, ``bot.py:12``; empty if that is not known.
    """
    error = _first_of_group(error)
    match error:
        case None | SystemExit(code=None | 0):
            detail = "the script ended before an Application polled; call its run_polling()"
            return End(ExitCode.CONFIG, BootFailed("no_application", detail))
        case SystemExit():
            return End(exit_code_of(error), None)
        case KeyboardInterrupt():
            return End(130, None)
    cause = cause_of(error)
    code = ExitCode.TEMPORARY if cause == "network" else ExitCode.CONFIG
    return End(code, BootFailed(cause, one_line(error, place)))


def exit_code_of(error: SystemExit) -> int:
    """Return the exit code that the interpreter gives a ``sys.exit(...)``."""
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def cause_of(error: BaseException) -> Cause:
    """Return which kind of failure ``error`` is; Telegram's errors are told apart by their exact types."""
    if type(error) in (NetworkError, TimedOut, RetryAfter) or _is_network(error):
        return "network"
    match error:
        case InvalidToken() | Forbidden():
            return "token"
        case ImportError() | SyntaxError() | EntryMissingError():
            return "import"
        case MemoryError() | ConfigurationError():
            return "config"
    return "build"


def one_line(error: BaseException, place: str) -> str:
    """Return ``error`` as the operator reads it: what and where, secrets hidden."""
    text = str(error).strip().partition("\n")[0]
    match error:
        case EntryMissingError() | ConfigurationError():
            line = text
        case MemoryError():
            line = f"MemoryError: the bot needs more than limits.memory_per_worker allows{_at(place)}"
        case SyntaxError():
            line = f"{type(error).__name__}: {text}"
        case _:
            line = f"{qualified_name(type(error))}{': ' if text else ''}{text}{_at(place)}"
    return redact(line)[:MAX_DETAIL_CHARACTERS]


def _at(place: str) -> str:
    return f" ({place})" if place else ""


def _is_network(error: BaseException) -> bool:
    """Return whether some other server, a database say, was out of reach."""
    is_lookup = isinstance(error, OSError) and type(error).__name__ == "gaierror"
    return is_lookup or isinstance(error, ConnectionError | TimeoutError | httpx.TransportError)


def _first_of_group(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
