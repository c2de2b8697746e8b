"""Puts the master together and runs it until it is told to stop.

Runs in: master.
"""

import asyncio
import gc
import os
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version

import uvloop

from brama.clock import monotonic_s, utc_s
from brama.config.loading import load_settings
from brama.config.platform_bots import with_platform_bots
from brama.config.settings import Settings
from brama.errors import StateError
from brama.exit_codes import ExitCode
from brama.log import configure_logging, get_logger
from brama.log_sink import LogSink
from brama.redaction import register_secrets
from supervisor.background import Background
from supervisor.control.live import LiveTable, report_progress
from supervisor.control.server import ControlServer
from supervisor.control.status import MasterState, WebhookStatus
from supervisor.fleet.fleet import Fleet
from supervisor.fleet.lock import InstanceLock
from supervisor.fleet.zygote_client import ZygoteClient
from supervisor.fleet.zygote_start import StartedZygote
from supervisor.front import Front
from supervisor.master import Parts, RunningMaster
from supervisor.platform.answer import Answer
from supervisor.platform.cache import CACHE_NAME
from supervisor.platform.feed import Feed
from supervisor.reload.policy.plan import Plan
from supervisor.reload.reloader import Reloader, Sources
from supervisor.requests import Requests
from supervisor.roster import Roster
from supervisor.service_manager import ServiceManager
from supervisor.updates.inbox.ledger import open_ledger
from supervisor.updates.ingresses import Ingresses
from supervisor.updates.intake import Intake
from supervisor.updates.policy.retry import RetryPolicy
from supervisor.updates.policy.routing import Window
from supervisor.updates.router import Router, RouterSettings
from webhook.server import WebhookServer
from webhook.settings import WebhookServerSettings, server_settings

STATE_FILE = "brama.db"
#: The inbox's writer waits for the interpreter's lock at each SQL step; at the default of 5 ms a busy loop
#: makes a batch of 100 three times as slow ([m] 2,600 instead of 8,600 updates a second).
SWITCH_INTERVAL_S = 0.001
#: Of the three generations; Python's own are (700, 10, 10).
COLLECTOR_THRESHOLDS = (10_000, 20, 50)
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
    file: Settings,
    started: StartedZygote | None,
    on_ready: Callable[[], None] | None,
    foreground_table: bool,
) -> ExitCode:
    requests = Requests()
    zygote = ZygoteClient(file.zygote.preload, file.project_root, os.environ, started=started)
    async with Background() as background, AsyncExitStack() as closing:
        ledger = open_ledger(file.state_dir / STATE_FILE, file.delivery.durability)
        closing.push_async_callback(ledger.close)
        closing.push_async_callback(zygote.aclose)
        zygote.launch()
        feed = Feed(file.state_dir / CACHE_NAME)
        closing.push_async_callback(feed.aclose)

        def join(file: Settings, answer: Answer) -> tuple[Settings, Sequence[str]]:
            return with_platform_bots(file, answer.content, os.environ)

        answer, settings = await feed.begin(file, join)
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
        ingresses = Ingresses(settings, Intake(ledger, settings.dedup, router), ledger)
        front = Front(lambda settings: _WebhookServer(ingresses, settings))
        ingresses.watch_hooks(front)
        roster = Roster(router, ingresses, ledger, background.start)
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
        )
        ingresses.report_to(fleet)
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
        master = RunningMaster(
            Parts(fleet, ingresses, ledger, router, roster, reloader, front.status, feed.status),
            version("brama-supervisor"),
            monotonic=monotonic_s,
            stop=requests.request,
        )
        server = _control_server(master, settings)
        closing.push_async_callback(server.aclose)
        await server.start()
        await front.adapt(settings)
        background.start(service.attend())
        log.info("master.started", pid=os.getpid(), bots=len(settings.bots), config=str(settings.config_path))
        if foreground_table:
            background.start(LiveTable().show(master))
        else:
            background.start(report_progress(master, _say_progress))
        try:
            await fleet.start()
            _quieten_collector()
            reloader.open()
            background.start(reloader.serve_requests())
            feed.run(reloader.offer)
            service.ready()
            if on_ready is not None:
                on_ready()
            await requests.wait()
        finally:
            master.state = MasterState.STOPPING
            reloader.close()
            front.drain()
            timeout_s = reloader.settings.stop.timeout
            service.stopping(timeout_s)
            log.info("master.stopping", timeout_s=timeout_s)
            await _stop_fleet(fleet, requests, timeout_s)
        await ingresses.aclose()
        log.info("master.stopped")
    return ExitCode.OK


class _WebhookServer:
    """The webhook server in the words of the master."""

    def __init__(self, ingresses: Ingresses, settings: Settings) -> None:
        token = settings.api.token
        self._server = WebhookServer(
            ingresses,
            self._settings(settings),
            api_token=None if token is None else token.get_secret_value(),
        )
        self.start = self._server.start
        self.drain = self._server.drain
        self.aclose = self._server.aclose
        self.last_seen_at = self._server.last_seen_at
        self.last_refused_at = self._server.last_refused_at

    def reconfigure(self, settings: Settings) -> None:
        """Serve as ``settings`` say, with certificates as they are on disk now."""
        self._server.reconfigure(self._settings(settings))

    def status(self) -> WebhookStatus:
        """Return where it listens, and what it has taken in."""
        stats = self._server.stats()
        host, port = self._server.address
        refused = sum(stats.refused.values())
        return WebhookStatus(f"{host}:{port}", stats.accepted, stats.duplicates, refused)

    @staticmethod
    def _settings(settings: Settings) -> WebhookServerSettings:
        return server_settings(settings.webhook, settings.webhook.ssl_cert, settings.webhook.ssl_key)


def _quieten_collector() -> None:
    """Keep what lasts as long as the master out of every garbage collection, and make those rarer.

    A full one over the objects of some hundred bots takes 50 ms, in which no update is taken in [m].
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _router_settings(settings: Settings) -> RouterSettings:
    delivery = settings.delivery
    return RouterSettings(
        window=Window(delivery.max_in_flight, delivery.max_in_flight_size),
        retry=RetryPolicy(delivery.attempts, delivery.retry_handlers),
        max_age_s=delivery.max_update_age,
    )


def _control_server(master: RunningMaster, settings: Settings) -> ControlServer:
    return ControlServer(
        master,
        state_dir=settings.state_dir,
        host=settings.api.host,
        port=settings.api.port,
        token=None if settings.api.token is None else settings.api.token.get_secret_value(),
        stop_timeout_s=settings.stop.timeout,
    )


def _say_progress(words: str) -> None:
    log.info("fleet.progressed", progress=words)


async def _stop_fleet(fleet: Fleet, requests: Requests, timeout_s: float) -> None:
    """Stop gracefully; a second request ends what is left at once."""
    graceful = asyncio.ensure_future(fleet.stop(timeout_s))
    again = asyncio.ensure_future(requests.wait_again())
    await asyncio.wait((graceful, again), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if not graceful.done():
        log.warning("master.stop_hastened")
        await fleet.stop(0)
    await graceful
