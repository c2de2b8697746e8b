"""Makes the calls of one bot, and says by name what the Bot API's refusals mean.

Runs in: master.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from brama.clock import Clock
from brama.config.settings import BotSettings
from brama.ids import BotId
from supervisor.updates.bot_api import BotApi, UnreachableError
from supervisor.updates.changes import Changes
from supervisor.updates.commits import Commits
from supervisor.updates.ingress import IngressObserver
from supervisor.updates.model import Acceptance, Backlog, Source, Verdict
from supervisor.updates.policy import polling, replies
from supervisor.updates.polling_gate import Gate


class Ledger(Protocol):
    """What intake needs of the inbox itself."""

    def backlog(self, source: Source) -> Backlog: ...
    def recall_one(self, key: str) -> bytes | None: ...
    async def remember(self, key: str, value: bytes) -> None: ...
    @property
    def stalled(self) -> str | None: ...


class Intake(Protocol):
    """Who takes updates: ``supervisor.updates.intake``."""

    async def accept(self, bot_id: BotId, source: Source, raws: Sequence[bytes]) -> Acceptance:
        """Commit a batch, and what is malformed in it as dead letters.

        Raises:
            CommitFailedError: not all of it was written.
        """

    async def accept_one(self, bot_id: BotId, source: Source, raw: bytes) -> Verdict | None:
        """Commit one update; None: it is malformed, and was not written.

        Raises:
            CommitFailedError: it was not written.
        """


@dataclass(frozen=True, slots=True)
class IntakeServices:
    """What the intake of all bots shares.

    ``clock`` is monotonic, ``jitter`` returns 0 up to 1, ``crowd`` the number of bots.
    """

    api: BotApi
    ledger: Ledger
    observer: IngressObserver
    gate: Gate
    commits: Commits
    changes: Changes
    clock: Clock
    utc: Clock
    jitter: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    crowd: Callable[[], int]


class BotCaller:
    """One bot's way to the Bot API."""

    def __init__(self, bot: BotSettings, api: BotApi) -> None:
        self._bot = bot
        self._api = api

    @property
    def token(self) -> str:
        """The bot's token."""
        return self._bot.token.get_secret_value()

    async def ask(
        self, method: str, parameters: Mapping[str, Any], files: Mapping[str, bytes] = {}
    ) -> replies.Result | polling.Trouble:
        """Return the result of a method, or what kept it from having one.

        Args:
            method: such as getMe.
            parameters: as the Bot API documents them.
            files: contents of files to upload, by the parameter's name.
        """
        try:
            answer = await self._api.call(self.token, method, parameters, files=files)
        except UnreachableError as error:
            return polling.Failed(str(error), error.is_stray)
        reply = replies.read_reply(answer.status, answer.retry_after, answer.body, answer.date)
        return reply if isinstance(reply, replies.Result) else trouble_of(reply)


def trouble_of(reply: replies.Refusal | replies.NoReply) -> polling.Trouble:
    """Return by name what the Bot API's refusal means."""
    if isinstance(reply, replies.NoReply):
        return polling.Failed(reply.detail)
    match reply.code:
        case 401 | 404:
            return polling.Rejected(reply.code, reply.description)
        case 409:
            return polling.Conflicted("webhook" in reply.description.lower())
        case 429:
            return polling.Throttled(reply.retry_after_s)
    return polling.Failed(f"{reply.code} {reply.description}")
