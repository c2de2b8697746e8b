"""What the control API needs from the master: the one door through which an operator reaches it.

Runs in: master.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from supervisor.control.status import Status
from supervisor.updates.model import DeadLetter


class Verb(StrEnum):
    """What an operator can ask of a bot."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a bot stands right after a command was taken; its process may still be on its way.

    ``detail`` is a sentence for the operator, or empty.
    """

    bot_id: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BotTouch:
    """What a reload does to one bot.

    ``action`` is add, remove, replace, restart, enable, disable or update; ``keys`` are those of its entry
    that differ.
    """

    bot_id: str
    action: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What a reload did, or would do.

    ``applied`` are keys outside of bots that are in use now, ``waiting`` those that count from the next start
    of the master on. ``warnings`` are sentences.
    """

    bots: tuple[BotTouch, ...]
    applied: tuple[str, ...]
    waiting: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestartResult:
    """A hot restart that is about to happen.

    ``pid`` is the master's and stays. ``version`` is that of the next one, ``hot_restarts`` how many there
    were before. ``retiring`` are bots that finish what they have begun first, as the next one cannot go on
    with them. ``patience_s`` is how long one bot may take, for that and for the start of its next process.
    """

    pid: int
    version: str
    hot_restarts: int
    retiring: tuple[str, ...] = ()
    patience_s: float = 150.0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the master does its work. ``reason`` says why not, and is None when ``ok``."""

    ok: bool
    state: str
    reason: str | None = None


class Master(Protocol):
    """The running master, as the control API sees it. All methods are called from the master's event loop."""

    def status(self) -> Status:
        """Return a snapshot; cheap enough to be asked several times a second for 1000 bots."""

    def health(self) -> Health:
        """Return whether updates are taken in and handed out now."""

    async def command(self, verb: Verb, bots: Sequence[str] | None) -> list[CommandResult]:
        """Start, stop or restart ``bots`` (None: all); returns once what is wanted of them is durable.

        The caller has checked that every name is a configured bot's.

        Raises:
            BramaError: the master cannot take commands now; the text says why.
        """

    async def reload(self, *, dry_run: bool) -> ReloadResult:
        """Take the configuration as it is now into use; with ``dry_run`` say only what that would do.

        Raises:
            ConfigError: something is wrong with it, one line for each; nothing was changed.
            BramaError: it cannot be done now; nothing was changed.
        """

    async def restart(self) -> RestartResult:
        """Have the master replaced by the code that is installed now, in the same process; bots run on.

        Returns once the next master has proven that it can take over.

        Raises:
            ConfigError: something is wrong with the configuration, one line for each; nothing has changed.
            BramaError: the next master cannot take over; nothing has changed.
        """

    async def drop_orphan(self, telegram_id: int) -> int:
        """Purge what is kept of a bot that is not configured; return how many updates that were."""

    async def dead_letters(self, bot: str | None, limit: int, before: int | None) -> Sequence[DeadLetter]:
        """Return at most ``limit`` dead letters, youngest first, with ids below ``before``."""

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return one dead letter with its body."""

    async def replay(self, letter_ids: Sequence[int]) -> int:
        """Put dead letters at the tail of their bots' queues; return how many there were."""

    async def drop(self, letter_ids: Sequence[int]) -> int:
        """Delete dead letters; return how many there were."""

    def request_stop(self) -> None:
        """Begin the graceful stop; asked again, change nothing."""
