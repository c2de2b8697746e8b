"""Keeps the job workers running: applies what ``policy.keeping`` decides to real processes.

Runs in: master.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from signal import SIGABRT, SIGCONT, SIGTERM
from typing import Any

import msgspec

from brama.child_process import Exit
from brama.clock import Clock, monotonic_s
from brama.ids import BotId
from brama.job_messages import Beat, Ending, FromJobWorker, Serving
from brama.log import get_logger
from supervisor.fleet.policy.model import State
from supervisor.fleet.strays import Strays
from supervisor.job_workers.policy import keeping
from supervisor.job_workers.policy.keeping import Act, Terms, Worker
from supervisor.job_workers.process import Command, JobProcess, execute
from supervisor.job_workers.records import JobWorkerRecord

#: Between two looks at deadlines, and two samples of memory; seconds.
_LOOK_S = 0.5
_SAMPLE_S = 10.0
log = get_logger(__name__)


@dataclass(slots=True)
class Place:
    """One of the places for workers; ``index`` counts from 1."""

    index: int
    worker: Worker
    process: JobProcess | None = None
    beat: Beat | None = None
    #: None before it has said so to this master.
    queues: frozenset[str] | None = None
    memory_bytes: int = 0
    is_old: bool = False


class Keeper:
    """All job workers of one master.

    Args:
        command: returns how the worker of a place (1 is the first) is executed.
        count: how many there are.
        terms: what they are judged by.
        instance: names this state directory's processes.
        left: the workers of the master before.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        command: Callable[[int], Command],
        count: int,
        terms: Terms,
        instance: str,
        left: list[JobWorkerRecord],
        clock: Clock = monotonic_s,
    ) -> None:
        self._command = command
        self._count = count
        self._terms = terms
        self._instance = instance
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sampled_at = float("-inf")
        self._changed = asyncio.Event()
        # What is dead is reaped by the fleet, which knows whose children there are.
        self._strays = Strays(self._loop, instance, lambda pid: pid in self.pids, lambda: False)
        self.places = {index: Place(index, Worker()) for index in range(1, count + 1)}
        for record in left:
            self._adopt(record)
        self._look()

    @property
    def pids(self) -> frozenset[int]:
        """Processes whose exit status is waited for here."""
        return frozenset(place.process.pid for place in self.places.values() if place.process is not None)

    @property
    def queues(self) -> frozenset[str] | None:
        """The queues that some worker takes jobs of; None while not all have said so."""
        said = [place.queues for place in self.places.values() if place.process is not None]
        return None if None in said else frozenset[str]().union(*filter(None, said))

    def start(self) -> None:
        """Start the workers that there are none of yet."""
        for place in self.places.values():
            if place.process is None and place.worker.state is State.STOPPED:
                self._do(place, place.worker, Act.SPAWN)

    async def renew(self) -> bool:
        """Replace what the master before has started, one after the other, by workers of the present code.

        Those that are left go on if one of the present code does not come up; returns whether none is.
        """
        for place in [each for each in self.places.values() if each.is_old and each.index <= self._count]:
            log.info("job_worker.renewing", worker=place.index)
            self._do(place, *keeping.renewed(place.worker, self._clock()))
            while place.is_old or place.worker.state in {State.BACKOFF, State.STARTING}:
                await self._wait_change()
            if place.worker.state is State.FATAL:
                left = [each.index for each in self.places.values() if each.is_old]
                log.error("job_workers.not_renewed", workers=left, reason=place.worker.reason)
                return not left
        return True

    async def stop(self, timeout_s: float) -> None:
        """End all workers; what they cannot end within ``timeout_s`` seconds goes back to the queue."""
        for place in self.places.values():
            now = self._clock()
            self._do(place, *keeping.stopped(place.worker, now, "the supervisor is stopping", timeout_s))
        while self.pids:
            await self._wait_change()
        self._end_timer()

    def draft(self) -> list[JobWorkerRecord]:
        """Return what ``hand_over`` would, without descriptors."""
        return [self._record(place) for place in self.places.values()]

    async def hand_over(self) -> list[JobWorkerRecord]:
        """Watch the workers no more, and return what the next master needs to go on with them."""
        await self._strays.wait_ended()
        self._end_timer()
        self._strays.stop()
        records = []
        for place in self.places.values():
            record = self._record(place)
            if place.process is not None:
                pipe, unread = place.process.hand_over()
                place.process = None
                record = msgspec.structs.replace(record, pipe=pipe, unread=unread)
            records.append(record)
        return records

    # --- inside -------------------------------------------------------------------------------

    def _adopt(self, record: JobWorkerRecord) -> None:
        if not record.pid:  # what it died of may be mended by now
            return
        worker = Worker(
            state=State(record.state),
            reason=record.reason,
            started_at=record.started_at,
            heard_at=record.heard_at,
            act_at=record.act_at,
            kill_at=record.kill_at,
            deaths=record.deaths,
            rung=record.rung,
            charged=record.charged,
            restarts=record.restarts,
        )
        place = Place(record.index, worker, is_old=True)
        try:
            self._watch(place, record.pid, Connection(record.pipe), record.unread, frozenset(record.seen))
        except OSError as error:
            log.error("job_worker.not_adopted", worker=record.index, pid=record.pid, error=str(error))
            return
        self.places[record.index] = place
        if record.index > self._count:
            now = self._clock()
            self._do(place, *keeping.stopped(worker, now, "there are fewer workers now", keeping.DRAIN_S))

    def _spawn(self, place: Place) -> None:
        place.worker = keeping.begun(place.worker, self._clock())
        place.is_old, place.beat, place.queues, place.memory_bytes = False, None, None, 0
        try:
            self._watch(place, *execute(self._command(place.index), self._instance, _name(place.index)))
        except OSError as error:
            log.error("job_worker.not_executed", worker=place.index, error=str(error))
            place.worker = keeping.refused(place.worker, f"cannot be executed: {error}")
            self._gone(place, Exit(code=1))

    def _watch(
        self,
        place: Place,
        pid: int,
        pipe: "Connection[Any, Any]",
        unread: bytes = b"",
        seen: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        place.process = JobProcess(
            self._loop,
            pid,
            pipe,
            _name(place.index),
            self._strays,
            partial(self._hear, place),
            partial(self._gone, place),
            unread,
            seen,
        )

    def _hear(self, place: Place, message: FromJobWorker) -> None:
        match message:
            case Serving(queues):
                place.queues = frozenset(queues)
            case Beat():
                if place.beat is None and place.process is not None:
                    place.memory_bytes = place.process.memory_bytes()
                place.beat = message
                place.worker = keeping.heard(place.worker, self._clock())
            case Ending(detail):
                place.worker = keeping.refused(place.worker, detail)
        self._changed.set()

    def _gone(self, place: Place, exited: Exit) -> None:
        pid = place.process.pid if place.process else None
        commanded = place.worker.state is State.STOPPING and not place.worker.charged
        place.process, place.is_old, place.memory_bytes = None, False, 0
        if place.index > self._count:
            del self.places[place.index]
        step = keeping.ended(place.worker, exited.code, exited.signal, self._clock(), self._terms)
        say = log.info if commanded else log.warning
        say(
            "job_worker.exited",
            worker=place.index,
            pid=pid,
            code=exited.code,
            signal=exited.signal,
            reason=step[0].reason,
        )
        self._do(place, *step)

    def _do(self, place: Place, worker: Worker, act: Act | None) -> None:
        place.worker = worker
        self._changed.set()
        if act is Act.SPAWN:
            self._spawn(place)
        elif act is not None and (process := place.process) is not None:
            match act:
                case Act.DRAIN | Act.HURRY:
                    process.look_around()  # before it ends by itself
                    process.signal(SIGTERM)
                    process.signal(SIGCONT)
                case Act.DUMP:
                    log.error("job_worker.hung", worker=place.index, pid=process.pid, reason=worker.reason)
                    process.look_around()
                    process.signal(SIGABRT)
                    process.signal(SIGCONT)
                case Act.KILL:
                    process.kill()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        now = self._clock()
        is_sample = now - self._sampled_at >= _SAMPLE_S
        if is_sample:
            self._sampled_at = now
        for place in list(self.places.values()):
            self._do_if(place, keeping.looked_at(place.worker, now, self._terms))
            if is_sample and place.process is not None:
                place.process.look_around()
                place.memory_bytes = place.process.memory_bytes()
                self._do_if(place, keeping.measured(place.worker, place.memory_bytes, now, self._terms))

    def _do_if(self, place: Place, step: keeping.Step) -> None:
        if step[1] is None:
            place.worker = step[0]
        else:
            self._do(place, *step)

    def _record(self, place: Place) -> JobWorkerRecord:
        worker = place.worker
        return JobWorkerRecord(
            index=place.index,
            pid=0 if place.process is None else place.process.pid,
            state=worker.state,
            started_at=worker.started_at,
            heard_at=worker.heard_at,
            act_at=worker.act_at,
            kill_at=worker.kill_at,
            charged=worker.charged,
            seen=() if place.process is None else tuple(place.process.seen),
            deaths=worker.deaths,
            rung=worker.rung,
            restarts=worker.restarts,
            reason=worker.reason,
        )

    async def _wait_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _name(index: int) -> BotId:
    """Return what a place's processes carry in place of a bot's id, which holds no "@"."""
    return BotId(f"@jobs.{index}")
