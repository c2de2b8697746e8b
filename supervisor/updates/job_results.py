"""Takes the ends of jobs into the inboxes of the bots that asked for them.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from brama.ids import BotId
from brama.log import get_logger
from supervisor.updates.model import (
    Accepted,
    Arrivals,
    Candidate,
    CommitFailedError,
    Source,
    Verdict,
)
from supervisor.updates.policy.job_entries import JobEnd, JobOrigin, entry_of

log = get_logger(__name__)


class Inbox(Protocol):
    """What is needed of the ledger."""

    def begin_accept(
        self,
        bot_id: BotId,
        source: Source,
        candidates: Sequence[Candidate],
        told: Callable[[Any], None] | None = None,
    ) -> "asyncio.Future[tuple[Accepted, ...]]": ...


class JobResults:
    """Where whoever consumes the ends of jobs delivers them.

    Whose a result is says the bot's number at Telegram, as with updates: a bot that was renamed gets it under
    its new label. What belongs to a bot that is not configured is kept, and listed and dropped with what else
    waits for it, until the bot comes back.

    Args:
        inbox: the ledger.
        arrivals: told of new entries the moment they are durable: the router, which wakes a sleeping bot.
        bot_of: returns the label that a bot has now, None if it is not configured.
    """

    def __init__(self, inbox: Inbox, arrivals: Arrivals, bot_of: Callable[[Source], BotId | None]) -> None:
        self._inbox = inbox
        self._arrivals = arrivals
        self._bot_of = bot_of

    async def deliver(self, origin: JobOrigin, end: JobEnd) -> bool:
        """Commit the end of a job to the inbox of its bot; from then on it gets lost no more.

        Delivering the same end again changes nothing, for a day after the bot was through with it.

        Args:
            origin: who asked for the job.
            end: how it ended.

        Returns:
            Whether it was new.

        Raises:
            CommitFailedError: it was not written; to be delivered again later.
        """
        bot_id = self._bot_of(origin.source)

        def concluded(result: tuple[Accepted, ...] | CommitFailedError) -> None:
            # Asked anew, as another bot may have the label by now.
            bot_id = self._bot_of(origin.source)
            if bot_id is None or isinstance(result, CommitFailedError):
                return
            if rows := [accepted.row for accepted in result if accepted.row is not None]:
                self._arrivals.arrived(bot_id, rows)

        label = origin.label if bot_id is None else bot_id
        [accepted] = await self._inbox.begin_accept(label, origin.source, (entry_of(origin, end),), concluded)
        is_new = accepted.verdict is Verdict.QUEUED
        if is_new and bot_id is None:
            log.warning("job_result.orphaned", bot=label, telegram_id=origin.telegram_id, job=end.job_id)
        return is_new
