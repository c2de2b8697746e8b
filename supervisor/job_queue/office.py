"""The job queue in the words of the master: its server, its workers, and what is handed over to it.

Runs in: master.
"""

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import msgspec
from pydantic import SecretStr

from brama.clock import utc_s
from brama.config.environment import inheritable
from brama.config.settings import Settings
from brama.errors import BramaError
from brama.log import get_logger
from brama.marks import instance_of
from jobs.alerts import Alerts
from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.bullmq_worker import BullConsumer
from jobs.engine.port import Completed, Failed, HandedBack, NewJob, Outcome, TakenJob
from jobs.engine.programs import find_program
from jobs.engine.server import LeftServer, QueueServer, locate_server
from jobs.engine.slots import Slots
from jobs.llm.server import BackendServer
from jobs.operations import JobOperations
from jobs.policy.ids import job_id_for
from jobs.policy.rates import Rates
from jobs.producer import Producer
from jobs.results import Origin, read_result, result_queue
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox
from jobs.terms import WorkerTerms
from supervisor.fleet.ports import JobDesk, JobOrder
from supervisor.fleet.zygote_start import search_path
from supervisor.job_queue.backend import LLM_MODULE, backend_terms
from supervisor.job_queue.dismissal import judged_by
from supervisor.job_queue.front import Deliver
from supervisor.job_queue.left_server import end_left_server
from supervisor.job_queue.survey import Survey
from supervisor.job_workers.keeper import Keeper
from supervisor.job_workers.process import Command
from supervisor.job_workers.records import JobsRecord
from supervisor.updates.policy.job_entries import JobEnd, JobOrigin

#: Between two tries to start the queue's server, in seconds.
_RETRY_S = 5.0
#: Results that are being committed at a time, and after how long one is tried again that could not be.
_RESULTS = 20
_UNCOMMITTED_S = 5.0
#: How long a server that hangs may hold up a stop, or a hot restart, at each of two steps.
_CLOSE_S = 3.0
_CLOSE_TRIES = 3
log = get_logger(__name__)


class JobOffice:
    """The job queue of one master.

    Args:
        settings: the configuration.
        environ: the master's environment.
        name: names this master among all that share a server; the same over restarts.
        deliver: commits the end of a job to the inbox of the bot that has asked for it.
        left: what the master before has left; None: this is the first, which may refuse.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        name: str,
        deliver: Deliver,
        left: JobsRecord | None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._name = name
        self._deliver = deliver
        self._is_first = left is None
        self._left = JobsRecord() if left is None else left
        url = settings.redis.url
        self._named_url = None if url is None else url.get_secret_value()
        self._url = self._named_url or locate_server(settings.state_dir, {})
        self._server: QueueServer | None = None
        self._trouble: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        #: What belongs to this master alone; what is being committed is finished first.
        self._closing = AsyncExitStack()
        self._backend_terms = backend_terms(settings)
        self._backend: BackendServer | None = None
        self._keeper = Keeper(
            self._command,
            settings.jobs.workers if settings.jobs.modules or self._backend_terms else 0,
            judged_by(settings),
            instance_of(settings.state_dir),
            self._left.workers,
        )

    @property
    def pids(self) -> frozenset[int]:
        """Processes whose exit status is waited for here."""
        server = self._server.pid if self._server else None
        return self._keeper.pids | (frozenset() if server is None else {server})

    async def start(self) -> None:
        """Take jobs over from now on; a server that does not come up is tried again until it does.

        Raises:
            StateError: the state directory is of no use; not if a master before has left bots that run.
        """
        database = Database(self._settings.state_dir, must_open=self._is_first)
        self._closing.callback(database.close)
        letters = DeadLetters(database)
        queue = BullQueue(self._url)
        self._closing.push_async_callback(queue.close)
        self._closing.push_async_callback(self._end_tasks)
        outbox = Outbox(database)
        producer = self._producer = Producer(queue, outbox, letters)
        self.operations = JobOperations(queue, letters, outbox)
        alert = self._settings.jobs.alert
        alerts = None
        if alert.url is not None:
            token = None if alert.token is None else alert.token.get_secret_value()
            alerts = Alerts(letters, alert.url, token)
            self._begin(alerts.run(), "jobs: alerts")
        survey = Survey(
            queue,
            self.operations,
            letters,
            outbox,
            producer,
            self._keeper,
            alerts,
            self._url,
            self._server_state,
        )
        self.status = survey.status
        self._begin(survey.run(), "jobs: survey")
        results = BullConsumer(
            result_queue(self._name),
            self._receive,
            self._url,
            slots=Slots(_RESULTS),
            max_stalls=2**31,
        )
        self._closing.push_async_callback(_close, results)
        if self._named_url is None or self._left.server_lock >= 0:
            self._begin(self._keep_server(), "jobs: server")
        self._backend = await self._open_backend(producer, queue, database)
        self._begin(producer.run(), "jobs: outbox")
        self._begin(results.run(), "jobs: results")

    def start_workers(self) -> None:
        """Start the workers, or replace those of the master before; what that left behind has to be ended."""
        self._keeper.start()
        self._begin(self._renew(), "jobs: renewal")

    @property
    def desk(self) -> JobDesk | None:
        """Takes over what bots enqueue."""
        return self

    async def enqueue(self, order: JobOrder) -> str:
        """See ``JobDesk``."""
        job_id = job_id_for(order.queue, order.name, order.key)
        origin = Origin(result_queue(self._name), asdict(order.origin))
        await self._producer.add(
            NewJob(
                queue=order.queue,
                job_id=job_id,
                name=order.name,
                data=order.data,
                created_utc_ms=round(utc_s() * 1000),
                priority=order.priority,
                delay_ms=order.delay_ms,
                origin=asdict(origin),
            )
        )
        return job_id

    async def drain(self, timeout_s: float) -> None:
        """End the workers within ``timeout_s`` seconds; jobs can still be handed over."""
        await self._keeper.stop(timeout_s)

    async def aclose(self) -> None:
        """End everything; workers that have not been drained are killed."""
        await self._keeper.stop(0)
        await self._closing.aclose()
        if self._server is not None:
            await self._server.stop()

    async def _open_backend(
        self, producer: Producer, queue: BullQueue, database: Database
    ) -> BackendServer | None:
        """Serve the LLM backend, if there is one; who connects meanwhile waits."""
        left, terms = self._left, self._backend_terms
        listener = None
        if left.listener >= 0:
            listener = socket.socket(fileno=left.listener)
            if terms is None or left.address != (terms.host, terms.port):
                listener.close()
                listener = None
        if terms is None:
            return None
        backend = BackendServer(terms, producer, queue, database, listener=listener)
        backend.bind()
        await backend.start()
        self._closing.push_async_callback(backend.aclose)
        host, port = backend.address
        log.info("llm.listening", address=f"{host}:{port}", mock=terms.is_mock)
        return backend

    def draft(self) -> JobsRecord:
        """Return what ``hand_over`` would, without descriptors."""
        return JobsRecord(address=self._address, workers=self._keeper.draft())

    @property
    def _address(self) -> tuple[str, int] | None:
        terms = self._backend_terms
        return None if terms is None else (terms.host, terms.port)

    async def hand_over(self) -> JobsRecord:
        """Let go of everything, which lives on, and return what the next master needs to go on with it."""
        listener = -1 if self._backend is None else self._backend.hand_over()
        workers = await self._keeper.hand_over()
        record = JobsRecord(workers=workers, listener=listener, address=self._address)
        await self._closing.aclose()
        if self._server is None:
            return record
        server = await self._server.hand_over()
        return msgspec.structs.replace(record, server_pid=server.pid, server_lock=server.lock)

    def _server_state(self) -> tuple[int | None, str | None]:
        return (None if self._server is None else self._server.pid), self._trouble

    async def _end_tasks(self) -> None:
        """End what goes on; a task that waits for a server that hangs may need to be asked twice."""
        for _ in range(_CLOSE_TRIES):
            if not (left := [task for task in self._tasks if not task.done()]):
                return
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_CLOSE_S / _CLOSE_TRIES)
        log.warning("jobs.tasks_left", tasks=[task.get_name() for task in self._tasks if not task.done()])

    def _begin(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(_say_failure)
        self._tasks.append(task)

    async def _keep_server(self) -> None:
        """Start the server, or go on with that of the master before, until it works."""
        left = self._left
        record = LeftServer(left.server_pid, left.server_lock) if left.server_lock >= 0 else None
        if record is None and self._named_url is None:
            await asyncio.to_thread(end_left_server, self._url)
        while not await self._try_server(record):
            record = None
            await asyncio.sleep(_RETRY_S)

    async def _try_server(self, left: LeftServer | None) -> bool:
        try:
            server = self._server = QueueServer(find_program(), self._settings.state_dir)
            await server.start(left)
        except (BramaError, OSError) as error:
            self._trouble = str(error)
            log.error("queue.server_not_started", error=str(error))
            return False
        self._trouble = None
        return True

    async def _renew(self) -> None:
        """Renew the workers; none of them needs a former server after that."""
        if await self._keeper.renew() and self._named_url is not None and self._server is not None:
            await self._server.stop()
            self._server = None
            log.warning(
                "queue.server_dismissed",
                reason="redis.url names another one; jobs that still wait in state_dir/queue are done by a "
                "supervisor without redis.url",
            )

    async def _receive(self, job: TakenJob) -> Outcome:
        """Commit one result."""
        try:
            result = read_result(job.data)
            origin = msgspec.convert(result.extra, JobOrigin)
        except ValueError as error:
            log.error("job_result.malformed", job=job.job_id, error=str(error))
            return Failed(str(error), "")
        end = JobEnd(
            job_id=result.job_id,
            name=result.name,
            queue=result.queue,
            attempt=result.attempt,
            ok=result.ok,
            result=result.result,
            error=result.error,
            created_utc_ms=result.created_utc_ms,
        )
        try:
            await self._deliver(origin, end)
        except BramaError as error:
            log.warning("job_result.not_committed", job=result.job_id, error=str(error))
            return HandedBack(_UNCOMMITTED_S)
        return Completed(None)

    def _command(self, index: int) -> Command:
        settings, jobs = self._settings, self._settings.jobs
        terms = WorkerTerms(
            title=f"brama: jobs {index}",
            modules=(*jobs.modules, *([] if self._backend_terms is None else [LLM_MODULE])),
            slots=jobs.concurrency,
            rates=Rates(jobs.limits.per_minute, jobs.limits.per_hour, jobs.limits.per_day),
            url=SecretStr(self._url),
            state_dir=settings.state_dir,
            backend=self._backend_terms,
            log_path=settings.logs_dir / f"jobs_{index}.log",
            log_level=settings.log.level,
            log_rotate_bytes=settings.log.rotate_size,
        )
        withheld = settings.withheld.union(*(bot.withheld for bot in settings.bots))
        environment = inheritable(withheld, self._environ)
        root = str(settings.project_root)  # which the worker itself adds, once it has our packages
        paths = environment.pop("PYTHONPATH", "").split(os.pathsep)
        if path := search_path(os.pathsep.join(each for each in paths if each not in ("", root))):
            environment["PYTHONPATH"] = path
        return Command(environment, settings.project_root, terms.model_dump_json().encode())


async def _close(results: BullConsumer) -> None:
    """Finish what is being committed; what a server that hangs is not told of comes again, and is known."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            await results.close()
    except TimeoutError:
        log.warning("job_results.left_to_stall")


def _say_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task.failed", task=task.get_name(), exc_info=error)
