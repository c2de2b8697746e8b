"""Puts the master together and runs it until it is told to stop.

Runs in: master.
"""

import asyncio
import gc
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import uvloop

from brama.clock import monotonic_s, utc_s
from brama.config.loading import load_settings
from brama.config.platform_bots import with_platform_bots
from brama.config.settings import Settings
from brama.errors import StateError
from brama.exit_codes import ExitCode
from brama.ids import BotId, Seq
from brama.log import configure_logging, get_logger
from brama.log_sink import LogSink
from brama.redaction import register_secrets
from supervisor.background import Background
from supervisor.control.job_ports import Jobs as Operations
from supervisor.control.live import LiveTable, report_progress
from supervisor.control.server import ControlServer
from supervisor.control.status import MasterState
from supervisor.fleet.fleet import Fleet
from supervisor.fleet.lock import InstanceLock
from supervisor.fleet.zygote_client import ZygoteClient
from supervisor.fleet.zygote_start import StartedZygote
from supervisor.front import Front
from supervisor.handover.estate import Estate
from supervisor.handover.estate import Parts as EstateParts
from supervisor.handover.program import become
from supervisor.handover.records import ControlRecord, Handover
from supervisor.handover.restarter import Restarter
from supervisor.job_queue.front import Jobs, open_jobs
from supervisor.master import Parts, RunningMaster
from supervisor.platform.answer import Answer
from supervisor.platform.cache import CACHE_NAME
from supervisor.platform.feed import FIRST_TIMEOUT_S, Feed
from supervisor.reload.policy.plan import Plan
from supervisor.reload.reloader import Reloader, Sources
from supervisor.requests import Requests, Wish, hold_signals, raise_again
from supervisor.roster import Roster
from supervisor.service_manager import ServiceManager
from supervisor.updates.inbox.ledger import open_ledger
from supervisor.updates.inbox.schema import STATE_FILE
from supervisor.updates.ingresses import Ingresses
from supervisor.updates.intake import Intake
from supervisor.updates.job_results import JobResults
from supervisor.updates.policy.message_window import MessageKey, MessageWindow
from supervisor.updates.policy.retry import RetryPolicy
from supervisor.updates.policy.routing import Window
from supervisor.updates.router import Router, RouterSettings
from supervisor.webhook_server import MasterWebhookServer

#: The inbox's writer waits for the interpreter's lock at each SQL step; at the default of 5 ms a busy loop
#: makes a batch of 100 three times as slow ([m] 2,600 instead of 8,600 updates a second).
SWITCH_INTERVAL_S = 0.001
#: Of the three generations; Python's own are (700, 10, 10).
COLLECTOR_THRESHOLDS = (10_000, 20, 50)
log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    program: Path,
    zygote: StartedZygote | None = None,
    handover: Handover | None = None,
    on_ready: Callable[[], None] | None = None,
    foreground_table: bool = False,
) -> ExitCode:
    """Run the master until it is stopped.

    A hot restart executes what ``program`` leads to by then in this very process, and so never returns.

    Args:
        settings: the configuration.
        program: the console script.
        zygote: one that was executed for these settings already, to save the time of its warm-up.
        handover: what the master before has left in this process; None: this is the first.
        on_ready: called once when the API is bound and bots are being started; given by a daemon, which has
            no terminal.
        foreground_table: show a live table on the terminal instead of log lines.

    Returns:
        OK after a graceful stop.

    Raises:
        BramaError: the master could not start; nothing was left running.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    lock = InstanceLock(settings.state_dir)
    if handover is None:
        lock.acquire()
    is_daemon = on_ready is not None if handover is None else handover.is_daemon
    try:
        while True:
            if handover is not None:
                lock.adopt(handover.lock)
            register_secrets(*settings.secrets())
            sink = _begin_log(settings, console=not is_daemon and not foreground_table)
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    life = _Life(settings, program, lock, handover, is_daemon, foreground_table)
                    end = runner.run(_serve(life, zygote, on_ready))
                    if isinstance(end, ExitCode):
                        return end
                    hold_signals()
            finally:
                sink.close()
            zygote = on_ready = None
            settings, handover = end.file, _execute(end)
    finally:
        lock.release()


def _execute(end: "_Succession") -> Handover:
    """Replace this process by the next master; if it cannot be executed, return what that would have got."""
    raise_again(end.unanswered)
    try:
        become(end.program, end.handover)
    except OSError as error:
        trouble = f"{end.program} cannot be executed: {error.strerror}"
        return msgspec.structs.replace(end.handover, trouble=trouble)


def _begin_log(settings: Settings, *, console: bool) -> LogSink:
    path = settings.logs_dir / "master.log"
    try:
        return configure_logging(
            path, level=settings.log.level, console=console, rotate_size_bytes=settings.log.rotate_size
        )
    except OSError as error:
        raise StateError(
            f"logs_dir: {path} cannot be written: {error.strerror}; make it writable or set logs_dir"
        ) from None


@dataclass(frozen=True, slots=True)
class _Life:
    """What one master begins with."""

    file: Settings
    program: Path
    lock: InstanceLock
    left: Handover | None
    is_daemon: bool
    foreground_table: bool


@dataclass(frozen=True, slots=True)
class _Succession:
    """How a master ends that is replaced: by what, what it leaves, and signals that it has not answered."""

    program: Path
    handover: Handover
    file: Settings
    unanswered: Sequence[signal.Signals]


async def _serve(
    life: _Life, started: StartedZygote | None, on_ready: Callable[[], None] | None
) -> ExitCode | _Succession:
    file, left = life.file, life.left
    requests = Requests()
    zygote = ZygoteClient(file.zygote.preload, file.project_root, os.environ, started=started)
    async with Background() as background, AsyncExitStack() as closing:
        ledger = open_ledger(file.state_dir / STATE_FILE, file.delivery.durability)
        closing.push_async_callback(ledger.close)
        closing.push_async_callback(zygote.aclose)
        if left is None:  # else it would warm up while others wait
            zygote.launch()
        else:
            ledger.processed(map(Seq, left.unsettled))
        feed = Feed(file.state_dir / CACHE_NAME)
        closing.push_async_callback(feed.aclose)

        def join(file: Settings, answer: Answer) -> tuple[Settings, Sequence[str]]:
            return with_platform_bots(file, answer.content, os.environ)

        answer, settings = await feed.begin(file, join, FIRST_TIMEOUT_S if left is None else 0)
        register_secrets(*settings.secrets())

        router = Router(
            ledger,
            _router_settings(settings),
            monotonic=monotonic_s,
            utc=utc_s,
            random=random.random,
            spawn=background.start,
        )
        ledger.on_stall(lambda reason: router.resume() if reason is None else None)
        window = MessageWindow(settings.dedup.window, settings.dedup.max_keys)
        for key, noted_at in () if left is None else left.noted:
            window.note(MessageKey(key), noted_at)
        ingresses = Ingresses(settings, Intake(ledger, settings.dedup, router, window=window), ledger)
        front = Front(
            lambda settings, left: MasterWebhookServer(ingresses, settings, left),
            None if left is None else left.webhook,
        )
        ingresses.watch_hooks(front)

        roster = Roster(router, ingresses, ledger, background.start)
        jobs = await open_jobs(
            settings,
            ledger,
            JobResults(ledger, router, roster.bot_of).deliver,
            None if left is None else left.jobs,
        )
        if jobs is not None:
            closing.push_async_callback(jobs.aclose)
        fleet = Fleet(
            settings,
            delivery=router,
            ingress=ingresses,
            roll=roster,
            zygote=zygote,
            store=ledger,
            spawn=background.start,
            environ=os.environ,
            cores=len(os.sched_getaffinity(0)),
            is_others=lambda pid: jobs is not None and pid in jobs.pids,
            desk=None if jobs is None else jobs.desk,
        )
        ingresses.report_to(fleet)
        router.call_when_waiting(fleet.updates_waited)
        closing.push_async_callback(ingresses.aclose)
        closing.push_async_callback(front.aclose)

        async def apply(plan: Plan) -> None:
            await front.adapt(plan.settings)
            await fleet.reconfigure(plan.settings, plan.renewed)
            router.retune(_router_settings(plan.settings))
            await feed.adapt(plan.settings.bots_source)

        sources = Sources(lambda: load_settings(file.config_path, os.environ), join, feed.refresh)
        service = ServiceManager(os.environ, lambda: master.status(), ledger.can_work)
        reloader = Reloader(file, answer, settings, sources, apply, requests.reload, service.reload)
        facts = _facts(life, settings)
        estate = Estate(facts)
        restarter = Restarter(
            life.program,
            estate.draft,
            lambda: ledger.stalled,
            fleet,
            requests.hand_over,
            requests.restart,
            None if left is None else left.trouble,
        )
        master = RunningMaster(
            Parts(
                fleet,
                ingresses,
                ledger,
                router,
                roster,
                reloader,
                restarter,
                front.status,
                feed.status,
                jobs.status if jobs is not None else _no_jobs,
            ),
            facts.version,
            monotonic=monotonic_s,
            stop=requests.request,
            started_at=facts.started_at,
            hot_restarts=facts.hot_restarts,
        )
        operations = None if jobs is None else jobs.operations
        server = _control_server(master, operations, settings, None if left is None else left.control)
        closing.push_async_callback(server.aclose)
        estate.parts = EstateParts(front, ingresses, router, fleet, jobs, ledger, window, server, life.lock)
        if left is not None:
            await fleet.take_over(left.bots, {BotId(bot_id): route for bot_id, route in left.routes.items()})
        await server.start()
        await front.adapt(settings)
        background.start(service.attend())
        log.info("master.started", pid=os.getpid(), bots=len(settings.bots), config=str(settings.config_path))
        if life.foreground_table:
            background.start(LiveTable().show(master))
        else:
            background.start(report_progress(master, _say_progress))
        handover = None
        try:
            if left is None:
                await fleet.start()
            else:
                background.start(fleet.renew())  # bots serve on, and a zygote that hangs holds up nothing
            if jobs is not None:
                jobs.start_workers()
            _quieten_collector()
            reloader.open()
            background.start(reloader.serve_requests())
            background.start(restarter.serve_requests())
            feed.run(reloader.offer)
            service.ready()
            if on_ready is not None:
                on_ready()
            if await requests.wait() is Wish.HAND_OVER:
                reloader.close("the master is being replaced; the next one reads the configuration anew")
                await reloader.settle()
                service.restarting()
                handover = await estate.collect()
        finally:
            if handover is None:
                master.state = MasterState.STOPPING
                await restarter.aclose()
                reloader.close()
                front.drain()
                timeout_s = reloader.settings.stop.timeout
                log.info("master.stopping", timeout_s=timeout_s)
                service.stopping(timeout_s)
                await _stop(fleet, jobs, requests, timeout_s)
        await ingresses.aclose()
        log.info("master.stopped" if handover is None else "master.handed_over")
    if handover is None:
        return ExitCode.OK
    return _Succession(restarter.proven, handover, reloader.file, requests.unanswered)


def _facts(life: _Life, settings: Settings) -> Handover:
    """Return what the next master is left, as far as it is known from the beginning."""
    left = life.left
    return Handover(
        version=version("brama-supervisor"),
        program=str(life.program),
        config=str(settings.config_path),
        state_dir=str(settings.state_dir),
        base_url=settings.telegram.base_url,
        is_daemon=life.is_daemon,
        has_table=life.foreground_table,
        started_at=monotonic_s() if left is None else left.started_at,
        hot_restarts=0 if left is None else left.hot_restarts + (left.trouble is None),
        control=ControlRecord(settings.api.host, settings.api.port),
        webhook=None,
        bots=[],
    )


def _quieten_collector() -> None:
    """Keep what lasts as long as the master out of every garbage collection, and make those rarer.

    A full one over the objects of some hundred bots takes 50 ms, in which no update is taken in [m].
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    gc.enable()


def _router_settings(settings: Settings) -> RouterSettings:
    delivery = settings.delivery
    return RouterSettings(
        window=Window(delivery.max_in_flight, delivery.max_in_flight_size),
        retry=RetryPolicy(delivery.attempts, delivery.retry_handlers),
        max_age_s=delivery.max_update_age,
    )


def _no_jobs() -> None:
    """There is no job queue."""


def _control_server(
    master: RunningMaster, jobs: Operations | None, settings: Settings, left: ControlRecord | None
) -> ControlServer:
    unix = tcp = None
    if left is not None:
        unix, tcp = socket.socket(fileno=left.unix), socket.socket(fileno=left.tcp)
        if (left.host, left.port) != (settings.api.host, settings.api.port):
            tcp.close()
            tcp = None
    return ControlServer(
        master,
        state_dir=settings.state_dir,
        host=settings.api.host,
        port=settings.api.port,
        token=None if settings.api.token is None else settings.api.token.get_secret_value(),
        stop_timeout_s=settings.stop.timeout,
        unix=unix,
        jobs=jobs,
        tcp=tcp,
    )


def _say_progress(words: str) -> None:
    log.info("fleet.progressed", progress=words)


async def _stop(fleet: Fleet, jobs: Jobs | None, requests: Requests, timeout_s: float) -> None:
    """Stop gracefully; a second request ends what is left at once."""

    async def stop_all(timeout_s: float) -> None:
        await asyncio.gather(fleet.stop(timeout_s), *([jobs.drain(timeout_s)] if jobs else []))

    graceful = asyncio.ensure_future(stop_all(timeout_s))
    again = asyncio.ensure_future(requests.wait_again())
    await asyncio.wait((graceful, again), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if not graceful.done():
        log.warning("master.stop_hastened")
        await stop_all(0)
    await graceful
