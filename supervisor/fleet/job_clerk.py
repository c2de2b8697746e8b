"""Hands the jobs that bots ask for to the queue's desk, and the answers back to the bots.

Runs in: master.
"""

import asyncio
import json
from collections import Counter

from brama.config.settings import BotSettings
from brama.errors import BramaError
from brama.ids import BotId, Generation
from brama.job_terms import MAX_EXTRA_BYTES, MAX_PAYLOAD_BYTES
from brama.log import get_logger
from brama.messages import Enqueue, Enqueued, NotEnqueued
from supervisor.fleet.ports import JobDesk, JobOrder, Send
from supervisor.updates.policy.job_entries import JobOrigin

#: Jobs of one bot that are not answered; its worker waits before it has as many on their way.
MAX_PENDING = 200

NO_JOBS = "jobs are off here; set jobs.enabled: true in the supervisor's configuration"

log = get_logger(__name__)


class JobClerk:
    """Answers every order once, in the order in which the desk does.

    Args:
        desk: takes jobs over; None: there is no queue.
        loop: the master's.
    """

    def __init__(self, desk: JobDesk | None, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self._loop = loop
        self._tasks: dict[tuple[BotId, Generation, int], asyncio.Task[None]] = {}
        self._pending: Counter[BotId] = Counter()

    def take(
        self, bot: BotSettings, base_url: str, generation: Generation, asked: Enqueue, send: Send
    ) -> None:
        """Have a job enqueued.

        Args:
            bot: who asks for it.
            base_url: the Bot API that the bot lives on.
            generation: of the process that asks.
            asked: what it asks for.
            send: takes the answer to it.
        """
        bot_id = bot.id
        key = (bot_id, generation, asked.n)
        if key in self._tasks:  # asked for again, and still at the desk
            return
        if self._pending[bot_id] >= MAX_PENDING:
            send(
                [NotEnqueued(asked.n, f"job {asked.name}: {MAX_PENDING} jobs of this bot wait to be stored")]
            )
            return
        self._pending[bot_id] += 1
        task = self._tasks[key] = self._loop.create_task(self._serve(asked, bot, base_url, send))
        task.add_done_callback(lambda _: self._done(key))

    def unanswered(self, bot_id: BotId, generation: Generation) -> tuple[int, ...]:
        """Return the numbers of the jobs that a worker waits for."""
        return tuple(n for of, its, n in self._tasks if (of, its) == (bot_id, generation))

    def stop(self) -> None:
        """Answer nothing more: what is not answered is asked for again at the next master."""
        for task in self._tasks.values():
            task.cancel()

    # --- inside ---------------------------------------------------------------------------------

    def _done(self, key: tuple[BotId, Generation, int]) -> None:
        del self._tasks[key]
        self._pending[key[0]] -= 1
        if not self._pending[key[0]]:
            del self._pending[key[0]]

    async def _serve(self, asked: Enqueue, bot: BotSettings, base_url: str, send: Send) -> None:
        try:
            send([Enqueued(asked.n, await self._enqueue(asked, bot, base_url))])
        except BramaError as error:
            send([NotEnqueued(asked.n, str(error))])
        except Exception as error:  # a defect here must not hold up the bot
            log.exception("job.order_failed", bot=bot.id, job=asked.name)
            trouble = f"{type(error).__name__} in the supervisor; its log says more"
            send([NotEnqueued(asked.n, f"job {asked.name}: {trouble}")])

    async def _enqueue(self, asked: Enqueue, bot: BotSettings, base_url: str) -> str:
        if self._desk is None:
            raise BramaError(f"job {asked.name}: {NO_JOBS}")
        for size, limit in ((len(asked.payload), MAX_PAYLOAD_BYTES), (len(asked.extra), MAX_EXTRA_BYTES)):
            if size > limit:
                raise BramaError(f"job {asked.name}: {size} bytes where {limit} are allowed")
        origin = JobOrigin(
            bot_id=bot.id,
            telegram_id=bot.telegram_id,
            base_url=base_url,
            chat_id=asked.chat_id,
            user_id=asked.user_id,
            update_id=asked.update_id,
            extra=json.loads(asked.extra),
        )
        data = json.loads(asked.payload)
        return await self._desk.enqueue(
            JobOrder(asked.name, asked.queue, asked.key, data, asked.priority, asked.delay_ms, origin)
        )
