"""The control API's JSON besides the status: what requests hold and what answers look like.

Runs in: master | command line.
"""

import msgspec

from supervisor.control.ports import CommandResult, Verb


class CommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /api/commands``: ``bots`` None means all."""

    verb: Verb
    bots: list[str] | None = None


class CommandAnswer(msgspec.Struct, frozen=True):
    """How each commanded bot stands right after the command was taken."""

    results: list[CommandResult]


class StopAnswer(msgspec.Struct, frozen=True):
    """``POST /api/stop``: the fleet is given ``deadline_s`` seconds; ``pid`` is the master's."""

    pid: int
    deadline_s: float


class ReloadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /api/reload``; answered with a ``ReloadResult``."""

    dry_run: bool = False


class OrphanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /api/orphans/drop``: the number that the bot's token started with."""

    telegram_id: int


class LetterSummary(msgspec.Struct, frozen=True):
    """A dead letter without the update. Times in seconds since the epoch."""

    id: int
    bot_id: str
    update_id: int | None
    kind: str
    reason: str
    error: str
    attempts: int
    received_utc: float
    died_utc: float
    size_bytes: int


class LetterPage(msgspec.Struct, frozen=True):
    """``GET /api/dead-letters``: youngest first; ``next`` is the next page's ``before``, None on the last."""

    dead_letters: list[LetterSummary]
    next: int | None


class LetterView(msgspec.Struct, frozen=True):
    """``GET /api/dead-letters/{id}``: ``body`` is the update as it came, there if ``?body=1`` asks for it."""

    letter: LetterSummary
    detail: str
    traceback: str
    body: str | None


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters are meant: those with ``ids``, or all of ``bot``."""

    ids: list[int] | None = None
    bot: str | None = None


class CountAnswer(msgspec.Struct, frozen=True):
    """How many updates were replayed or dropped."""

    count: int


class ErrorAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every answer with a status of 400 and above.

    ``error`` is one sentence; ``problems``, with status 422, is all that is wrong with the configuration.
    """

    error: str
    problems: list[str] = []
