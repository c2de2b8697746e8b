"""A job worker: ``python -m jobs.worker --state-dir DIR MODULE…`` runs the types that the modules hold.

It ends on SIGTERM or SIGINT: no new jobs, 30 s for those in hand, the rest handed back, gone within 35 s. A
second signal has them handed back at once.

Runs in: job worker.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import uvloop

from brama.errors import BramaError, ConfigError, StateError
from brama.exit_codes import ExitCode
from brama.log import configure_logging, get_logger
from brama.log_sink import LogSink
from brama.redaction import register_secrets
from jobs.author import use_producer
from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.bullmq_worker import BullConsumer
from jobs.engine.port import RateLimiter
from jobs.engine.rate_limiter import RateLimits
from jobs.engine.server import locate_server
from jobs.engine.slots import Slots
from jobs.errors import EngineUnavailableError, NotAcceptedError
from jobs.execution.children import Children
from jobs.execution.runner import Runner, Tally
from jobs.job_type import AnyJobType
from jobs.letters import Reconciler
from jobs.llm.terms import BackendTerms
from jobs.llm.workshop import install
from jobs.policy.rates import Rates
from jobs.producer import Producer
from jobs.registry import Registry, load_types
from jobs.results import Results
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox
from jobs.watchdog import BLOCKED_S, Watchdog

log = get_logger(__name__)

#: From the signal on: when jobs in hand are given back, and when the process ends whatever it does.
DRAIN_S = 30.0
END_S = 34.0
#: Between two looks for failed jobs without a dead letter, and two tries to reach a server at start; seconds.
_RECONCILE_S = 60.0
_RECONNECT_S = 1.0
DEFAULT_SLOTS = 2


class Worker:
    """One worker process.

    Args:
        types: what it runs.
        modules: where the types are, for its children.
        url: the engine's server.
        state_dir: where dead letters go.
        slots: jobs it runs at once.
        rates: of the limit that all types share.
        backend: the terms of the LLM backend, for workers that run its types.
        log_path: where children print to; None: to where this process does.
        is_patient: work also while the file of dead letters cannot be opened.
        on_blocked: told by another thread why the process is killed in a moment.
    """

    def __init__(
        self,
        types: Registry,
        modules: list[str],
        url: str,
        state_dir: Path,
        slots: int,
        rates: Rates = Rates(),
        backend: BackendTerms | None = None,
        *,
        is_patient: bool = False,
        log_path: Path | None = None,
        on_blocked: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._types = types
        self._modules = modules
        self._url = url
        self._state_dir = state_dir
        self._slots = slots
        self._rates = rates
        self._backend = backend
        self._is_patient = is_patient
        self._log_path = log_path
        self._on_blocked = on_blocked
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._runner: Runner | None = None
        #: A handler goes on that should have ended; only with its process does it.
        self.is_unfit = False

    def stop(self) -> None:
        """Take no more jobs and end; called again: without those in hand. Called from a signal."""
        if self._stopping.is_set():
            self._hurry.set()
            return
        self._stopping.set()
        last = threading.Timer(END_S, os._exit, [ExitCode.FAILED])
        last.daemon = True
        last.start()

    async def run(self) -> None:
        """Work until ``stop``."""
        async with AsyncExitStack() as stack:
            database = Database(self._state_dir, must_open=not self._is_patient)
            stack.callback(database.close)
            letters = DeadLetters(database)
            children = Children(self._modules, self._log_path)
            stack.push_async_callback(children.close)
            queue = BullQueue(self._url)
            stack.push_async_callback(queue.close)
            producer = Producer(queue, Outbox(database), letters)
            use_producer(producer)
            limits = RateLimits(self._url, self._rates)
            stack.push_async_callback(limits.close)
            if self._backend is not None:
                install(self._backend, database=database, producer=producer, limiter=limits.shared)
            runner = Runner(
                self._types, children, letters, Results(producer), partial(_limiter, limits), self._be_unfit
            )
            self._runner = runner
            stack.callback(Watchdog(self._say_blocked).stop)
            await self._serve(queue, letters, producer)

    def _say_blocked(self) -> None:
        """Say why the process is about to be killed; called by the watchdog's thread."""
        jobs = [f"{name} {job_id}" for job_id, name in list(self.tally.in_hand.items())]
        log.error("worker.blocked", jobs=jobs, after_s=BLOCKED_S)
        self._on_blocked(f"a job stood its event loop still for {BLOCKED_S:g} s: {', '.join(jobs) or 'none'}")

    @property
    def tally(self) -> Tally:
        """What it has done so far."""
        return Tally() if self._runner is None else self._runner.tally

    async def _serve(self, queue: BullQueue, letters: DeadLetters, producer: Producer) -> None:
        runner = self._runner
        assert runner is not None
        slots = Slots(self._slots)
        consumers = [
            BullConsumer(
                name,
                runner.process,
                self._url,
                slots=slots,
                max_stalls=self._types.max_stalls(name),
                capped=self._types.concurrency(name) is not None,
                keep_s=self._types.keep_s(name),
            )
            for name in self._types.queues
        ]
        async with asyncio.TaskGroup() as tasks:
            for consumer in consumers:
                tasks.create_task(self._consume(consumer))
            helpers: list[asyncio.Task[object]] = [
                tasks.create_task(self._take_care(queue, letters, Results(producer))),
                tasks.create_task(producer.run()),
            ]
            log.info("worker.started", queues=self._types.queues, slots=self._slots)
            await self._stopping.wait()
            log.info("worker.draining")
            for consumer in consumers:
                await consumer.pause()
            closing = [tasks.create_task(consumer.close()) for consumer in consumers]
            closed = tasks.create_task(asyncio.wait(closing))
            helpers.append(hurry := tasks.create_task(self._hurry.wait()))
            await asyncio.wait({closed, hurry}, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
            runner.hand_back()
            await closed
            for helper in helpers:
                helper.cancel()
        log.info("worker.ended")

    async def _consume(self, consumer: BullConsumer) -> None:
        await consumer.run()
        if not self._stopping.is_set():
            raise EngineUnavailableError(f"jobs: the loop of queue {consumer.name} has ended")

    async def _take_care(self, queue: BullQueue, letters: DeadLetters, results: Results) -> None:
        """Tell the engine what holds for the queues, then look for jobs that failed without a letter."""
        reconciler = Reconciler(queue, letters, results, self._types.queues)
        is_told = False
        while True:
            try:
                await queue.announce(self._types.queues)
                if not is_told:
                    for name in self._types.queues:
                        await queue.cap_concurrency(name, self._types.concurrency(name))
                    if warning := await queue.warning():
                        log.warning("queue.unsafe", reason=warning)
                    is_told = True
                if count := await reconciler.look():
                    log.error("job.found_failed", count=count)
            except (EngineUnavailableError, NotAcceptedError, StateError) as error:
                log.warning("queue.not_looked_at", error=str(error))
            await asyncio.sleep(_RECONCILE_S if is_told else _RECONNECT_S)

    def _be_unfit(self) -> None:
        self.is_unfit = True
        if self._runner is not None:
            self._runner.hand_back()
        self.stop()


def main(arguments: list[str]) -> int:
    """Run a worker and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.worker", description=__doc__)
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="modules that hold @job functions")
    parser.add_argument("--state-dir", type=Path, required=True, help="where dead letters are kept")
    parser.add_argument(
        "--slots",
        type=_count,
        default=os.environ.get("WORKER_CONCURRENCY") or DEFAULT_SLOTS,
        help="jobs to run at once; WORKER_CONCURRENCY, else %(default)s",
    )
    options = parser.parse_args(arguments)
    sink = configure_logging(None, console=True)
    try:
        url = locate_server(options.state_dir, os.environ)
        register_secrets(url)
        types = load_types(options.modules)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(types, options, url, sink))
    except ConfigError as error:
        log.error("worker.not_started", error=str(error))
        return ExitCode.CONFIG
    except BramaError as error:
        log.error("worker.failed", error=str(error))
        return ExitCode.FAILED
    finally:
        sink.close()
    return ExitCode.OK


def _limiter(limits: RateLimits, job_type: AnyJobType) -> RateLimiter:
    if job_type.rates is None:
        return limits.shared
    return limits.own(f"{job_type.queue}:{job_type.name}", job_type.rates)


async def _run(types: Registry, options: argparse.Namespace, url: str, sink: LogSink) -> None:
    worker = Worker(types, options.modules, url, options.state_dir, options.slots)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    await worker.run()
    if worker.is_unfit:
        sink.close()
        os._exit(ExitCode.FAILED)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of jobs; write 1 or more')
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
