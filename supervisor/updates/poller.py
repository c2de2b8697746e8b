"""Runs the intake of all polling bots: opens, closes, and says how each stands.

Runs in: master.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from brama.clock import Clock, monotonic_s
from brama.config.settings import Settings
from brama.ids import BotId
from brama.log import get_logger
from supervisor.updates.bot_api import BotApi, Deadlines
from supervisor.updates.bot_poller import BotPoller, Intake, Ledger, PollerServices
from supervisor.updates.commits import Commits
from supervisor.updates.ingress import IngressObserver, IngressState, IngressStatus
from supervisor.updates.polling_gate import Gate

#: The longest Telegram holds a poll open, in seconds.
MAX_POLL_TIMEOUT_S = 50.0

_log = get_logger(__name__)


class Pollers:
    """One task for each open bot. All methods are called in the master's loop."""

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        ledger: Ledger,
        *,
        clock: Clock = monotonic_s,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        poll_timeout_s: float = MAX_POLL_TIMEOUT_S,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Prepare; nothing is asked of Telegram before ``open``.

        Args:
            settings: the bots, the Bot API's address and the bounds of the backlog.
            intake: takes what comes.
            ledger: knows what waits, and remembers identities.
            clock: monotonic seconds.
            jitter: returns 0 up to 1.
            sleep: waits for seconds.
            poll_timeout_s: how long Telegram may hold a poll open, 0 to 50 s.
            deadlines: time limits of single calls.
        """
        self._settings = settings
        self._intake = intake
        self._ledger = ledger
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._poll_timeout_s = poll_timeout_s
        self._deadlines = deadlines
        self._observer: IngressObserver | None = None
        self._services: PollerServices | None = None
        self._bots = {bot.id: bot for bot in settings.bots}
        self._pollers: dict[BotId, BotPoller] = {}
        self._tasks: dict[BotId, asyncio.Task[None]] = {}
        #: Tasks of closed bots that have not ended yet.
        self._ending: set[asyncio.Task[None]] = set()

    def report_to(self, observer: IngressObserver) -> None:
        """Tell ``observer`` about identities and rejected tokens; to be called before the first ``open``."""
        self._observer = observer

    def open(self, bot_id: BotId) -> None:
        """Begin to fetch a bot's updates; does nothing if that goes on already.

        A bot whose token was rejected is tried again.
        """
        task = self._tasks.get(bot_id)
        if task is not None and not task.done():
            return
        poller = self._poller(bot_id)
        poller.begin()
        task = asyncio.get_running_loop().create_task(poller.run(), name=f"poll {bot_id}")
        task.add_done_callback(self._note_end)
        self._tasks[bot_id] = task

    def close(self, bot_id: BotId) -> None:
        """Stop fetching at once; a batch that is being written is still written."""
        task = self._tasks.pop(bot_id, None)
        if task is not None and not task.done():
            self._ending.add(task)
            task.cancel()
        if bot_id in self._pollers:
            self._pollers[bot_id].end()

    def set_allowed_updates(self, bot_id: BotId, allowed: Sequence[str] | None) -> None:
        """Ask for these kinds of updates from the next poll on; None: all kinds.

        What the configuration says about a bot wins.
        """
        self._poller(bot_id).set_allowed_updates(allowed)

    def states(self) -> dict[BotId, IngressStatus]:
        """Return how the intake of every configured bot stands."""
        off = IngressStatus(IngressState.OFF, "", 0.0)
        return {
            bot_id: self._pollers[bot_id].status if bot_id in self._pollers else off for bot_id in self._bots
        }

    async def aclose(self) -> None:
        """Close all bots, and wait until what is being written is written."""
        for bot_id in list(self._tasks):
            self.close(bot_id)
        while self._ending:
            await asyncio.wait(set(self._ending))
        if self._services is not None:
            await self._services.commits.wait_done()
            await self._services.api.aclose()
            self._services = None

    def _poller(self, bot_id: BotId) -> BotPoller:
        if bot_id not in self._pollers:
            bot = self._bots[bot_id]
            self._pollers[bot_id] = BotPoller(bot, self._settings, self._service())
        return self._pollers[bot_id]

    def _service(self) -> PollerServices:
        """Return what all pollers share; made here because it needs the running loop."""
        if self._services is None:
            if self._observer is None:
                raise RuntimeError("report_to() comes before open()")
            self._services = PollerServices(
                api=BotApi(self._settings.telegram.base_url, self._deadlines),
                intake=self._intake,
                ledger=self._ledger,
                observer=self._observer,
                gate=Gate(self._clock, self._sleep),
                commits=Commits(),
                clock=self._clock,
                jitter=self._jitter,
                sleep=self._sleep,
                poll_timeout_s=self._poll_timeout_s,
            )
        return self._services

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        self._ending.discard(task)
        with suppress(asyncio.CancelledError):
            if error := task.exception():
                _log.error("poller.crashed", task=task.get_name(), exc_info=error)
