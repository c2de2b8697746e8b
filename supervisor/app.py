"""Puts the master together and runs it until it is told to stop.

Runs in: master.
"""

import asyncio
import os
import random
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

import uvloop

from brama.clock import monotonic_s, utc_s
from brama.config.settings import Settings
from brama.errors import StateError
from brama.exit_codes import ExitCode
from brama.log import configure_logging, get_logger
from brama.log_sink import LogSink
from brama.redaction import register_secrets
from supervisor.background import Background
from supervisor.control.live import LiveTable, report_progress
from supervisor.control.server import ControlServer
from supervisor.control.status import MasterState
from supervisor.fleet.fleet import Fleet
from supervisor.fleet.lock import InstanceLock
from supervisor.fleet.zygote_client import ZygoteClient
from supervisor.fleet.zygote_start import StartedZygote
from supervisor.master import RunningMaster
from supervisor.stop_requests import StopRequests
from supervisor.updates.inbox.ledger import Ledger, open_ledger
from supervisor.updates.intake import Intake
from supervisor.updates.model import Source
from supervisor.updates.policy.retry import RetryPolicy
from supervisor.updates.policy.routing import Window
from supervisor.updates.poller import Pollers
from supervisor.updates.router import Router, RouterSettings

STATE_FILE = "brama.db"
#: The inbox's writer waits for the interpreter's lock at each SQL step; at the default of 5 ms a busy loop
#: makes a batch of 100 three times as slow ([m] 2,600 instead of 8,600 updates a second).
SWITCH_INTERVAL_S = 0.001
log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    zygote: StartedZygote | None = None,
    on_ready: Callable[[], None] | None = None,
    foreground_table: bool = False,
) -> ExitCode:
    """Run the master until it is stopped.

    Args:
        settings: the configuration.
        zygote: one that was executed for these settings already, to save the time of its warm-up.
        on_ready: called once when the API is bound and bots are being started; given by a daemon, which has
            no terminal.
        foreground_table: show a live table on the terminal instead of log lines.

    Returns:
        OK after a graceful stop.

    Raises:
        BramaError: the master could not start; nothing was left running.
    """
    register_secrets(*settings.secrets())
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    lock = InstanceLock(settings.state_dir)
    lock.acquire()
    try:
        sink = _begin_log(settings, console=on_ready is None and not foreground_table)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(settings, zygote, on_ready, foreground_table))
        finally:
            sink.close()
    finally:
        lock.release()


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


async def _serve(
    settings: Settings,
    started: StartedZygote | None,
    on_ready: Callable[[], None] | None,
    foreground_table: bool,
) -> ExitCode:
    stop = StopRequests()
    zygote = ZygoteClient(settings.zygote.preload, settings.project_root, os.environ, started=started)
    async with Background() as background, AsyncExitStack() as closing:
        ledger = open_ledger(settings.state_dir / STATE_FILE, settings.delivery.durability)
        closing.push_async_callback(ledger.close)
        closing.push_async_callback(zygote.aclose)
        zygote.launch()
        sources = {bot.id: Source(bot.telegram_id, settings.telegram.base_url) for bot in settings.bots}
        router = _make_router(settings, ledger, background.start)
        for bot_id, source in sources.items():
            router.add_bot(bot_id, source)
        pollers = Pollers(settings, Intake(ledger, settings.dedup, router), ledger)
        fleet = Fleet(
            settings,
            delivery=router,
            ingress=pollers,
            zygote=zygote,
            store=ledger,
            spawn=background.start,
            environ=os.environ,
            cores=len(os.sched_getaffinity(0)),
        )
        pollers.report_to(fleet)
        closing.push_async_callback(pollers.aclose)
        master = RunningMaster(
            settings,
            version("brama-supervisor"),
            fleet,
            pollers,
            ledger,
            router,
            sources,
            monotonic=monotonic_s,
            stop=stop.request,
        )
        server = ControlServer(
            master,
            state_dir=settings.state_dir,
            host=settings.api.host,
            port=settings.api.port,
            token=None if settings.api.token is None else settings.api.token.get_secret_value(),
            stop_timeout_s=settings.stop.timeout,
        )
        closing.push_async_callback(server.aclose)
        await server.start()
        log.info("master.started", pid=os.getpid(), bots=len(settings.bots), config=str(settings.config_path))
        if foreground_table:
            background.start(LiveTable().show(master))
        else:
            background.start(report_progress(master, _say_progress))
        try:
            await fleet.start()
            if on_ready is not None:
                on_ready()
            await stop.wait()
        finally:
            master.state = MasterState.STOPPING
            log.info("master.stopping", timeout_s=settings.stop.timeout)
            await _stop_fleet(fleet, stop, settings.stop.timeout)
        await pollers.aclose()
        log.info("master.stopped")
    return ExitCode.OK


def _make_router(
    settings: Settings, ledger: Ledger, spawn: Callable[[Coroutine[Any, Any, None]], object]
) -> Router:
    delivery = settings.delivery
    router = Router(
        ledger,
        RouterSettings(
            window=Window(delivery.max_in_flight, delivery.max_in_flight_size),
            retry=RetryPolicy(delivery.attempts, delivery.retry_handlers),
            max_age_s=delivery.max_update_age,
        ),
        monotonic=monotonic_s,
        utc=utc_s,
        random=random.random,
        spawn=spawn,
    )
    ledger.on_stall(lambda reason: router.resume() if reason is None else None)
    return router


def _say_progress(words: str) -> None:
    log.info("fleet.progressed", progress=words)


async def _stop_fleet(fleet: Fleet, stop: StopRequests, timeout_s: float) -> None:
    """Stop gracefully; a second request ends what is left at once."""
    graceful = asyncio.ensure_future(fleet.stop(timeout_s))
    again = asyncio.ensure_future(stop.wait_again())
    await asyncio.wait((graceful, again), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if not graceful.done():
        log.warning("master.stop_hastened")
        await fleet.stop(0)
    await graceful
