"""Keeps what the status says of the job queue fresh.

Runs in: master.
"""

import asyncio
from collections.abc import Callable

from redis.exceptions import RedisError

from brama.clock import Clock, monotonic_s
from brama.config.redis_address import without_login
from brama.errors import BramaError
from brama.log import get_logger
from jobs.alerts import Alerts
from jobs.engine.bullmq_queue import BullQueue
from jobs.errors import EngineUnavailableError, NotOpenError
from jobs.operations import JobOperations, QueueView
from jobs.producer import Producer
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox
from supervisor.control.jobs_status import (
    EngineState,
    JobAlertStatus,
    JobQueueStatus,
    JobsStatus,
    JobWorkerStatus,
)
from supervisor.job_workers.keeper import Keeper, Place

#: Between two looks, in seconds.
_LOOK_S = 2.0
log = get_logger(__name__)


class Survey:
    """Looks at the queues now and then, so that a status costs nothing.

    Args:
        queue: the engine.
        operations: what operators do with it.
        letters: the dead letters.
        outbox: what the engine has not taken yet.
        producer: knows why it is in use.
        keeper: the workers.
        alerts: tells of dead letters, None: nobody is told.
        url: of the server.
        server: returns the pid of a server of our own, and why there is none.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        queue: BullQueue,
        operations: JobOperations,
        letters: DeadLetters,
        outbox: Outbox,
        producer: Producer,
        keeper: Keeper,
        alerts: Alerts | None,
        url: str,
        server: Callable[[], tuple[int | None, str | None]],
        clock: Clock = monotonic_s,
    ) -> None:
        self._queue = queue
        self._operations = operations
        self._letters = letters
        self._outbox = outbox
        self._producer = producer
        self._keeper = keeper
        self._alerts = alerts
        self._address = without_login(url)
        self._server = server
        self._clock = clock
        self._views: list[QueueView] = []
        self._causes: dict[str, int] = {}
        self._kept = 0
        self._engine = EngineState.OK
        self._reason: str | None = None
        self._told: str | None = None
        #: Queues whose jobs nobody took at the last look, and those of which that has been said.
        self._idle: frozenset[str] = frozenset()
        self._unserved: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            engine, reason = await self._look()
            # Told at the second look: at the start its own server is on its way.
            if engine is not EngineState.OK and reason == self._reason != self._told:
                log.warning("queue.trouble", engine=engine, reason=reason)
                self._told = reason
            self._engine, self._reason = engine, reason
            await asyncio.sleep(_LOOK_S)

    def status(self) -> JobsStatus:
        """Return what is known now."""
        now = self._clock()
        pid, trouble = self._server()
        return JobsStatus(
            engine=EngineState.DOWN if trouble else self._engine,
            reason=trouble or self._reason,
            server=self._address,
            server_pid=pid,
            waiting=sum(view.waiting for view in self._views),
            active=sum(view.active for view in self._views),
            delayed=sum(view.delayed for view in self._views),
            failed=sum(view.failed for view in self._views),
            dead_letters=sum(self._causes.values()),
            outbox=self._kept,
            workers=tuple(_show_worker(place, now) for place in self._keeper.places.values()),
            queues=tuple(map(_show_queue, self._views)),
            causes=self._causes,
            alert=None if self._alerts is None else _show_alert(self._alerts),
            unserved=tuple(sorted(self._unserved)),
        )

    async def _look_for_unserved(self) -> None:
        """Find queues that have waited for two looks, and whose jobs no worker takes, wherever it is."""
        if (served := self._keeper.queues) is None:
            return
        idle = {view.name for view in self._views if _waits(view) and view.name not in served}
        found = {name for name in idle & self._idle if not await self._queue.has_workers(name)}
        for name in sorted(found - self._unserved):
            log.warning("queue.unserved", queue=name, reason="no worker takes its jobs; see jobs.modules")
        self._idle, self._unserved = frozenset(idle), frozenset(found)

    async def _look(self) -> tuple[EngineState, str | None]:
        try:
            self._kept = await self._outbox.count()
            causes: dict[str, int] = {}
            for each in await self._letters.open_counts():
                causes[each.cause] = causes.get(each.cause, 0) + each.count
            self._causes = causes
            self._views = await self._operations.queues()
            warning = await self._queue.warning()
            await self._look_for_unserved()
        except (EngineUnavailableError, NotOpenError) as error:
            return EngineState.DOWN, str(error)
        except BramaError as error:  # the table cannot be read
            return EngineState.DEGRADED, str(error)
        except RedisError as error:  # it knows a key as something else, or forbids a command
            return EngineState.DEGRADED, f"the Redis server: {error}"
        reason = self._producer.degraded or warning
        return (EngineState.OK if reason is None else EngineState.DEGRADED), reason


def _waits(view: QueueView) -> bool:
    return view.waiting > 0 and view.active == 0 and not view.is_paused


def _show_worker(place: Place, now: float) -> JobWorkerStatus:
    worker, beat = place.worker, place.beat
    return JobWorkerStatus(
        pid=None if place.process is None else place.process.pid,
        state=worker.state,
        uptime=0 if place.process is None else _ms(now - worker.started_at),
        active=0 if beat is None else beat.active,
        done=0 if beat is None else beat.completed,
        failed=0 if beat is None else beat.failed,
        memory_bytes=place.memory_bytes,
        restarts=max(0, worker.restarts),
        heartbeat_age_ms=None if worker.heard_at is None else _ms(now - worker.heard_at),
        reason=worker.reason,
    )


def _show_queue(view: QueueView) -> JobQueueStatus:
    return JobQueueStatus(
        name=view.name,
        waiting=view.waiting,
        active=view.active,
        delayed=view.delayed,
        completed=view.completed,
        failed=view.failed,
        is_paused=view.is_paused,
    )


def _show_alert(alerts: Alerts) -> JobAlertStatus:
    state = alerts.state
    return JobAlertStatus(state.waiting, state.told, state.dropped, state.failures, state.error)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
