"""Renders a status as Prometheus metrics.

Series are labelled by bot and by nothing that could grow: 1000 bots are some 13,000 series.

Runs in: master (a thread).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from supervisor.control.job_metrics import job_metrics
from supervisor.control.policy.progress import UP, is_wanted
from supervisor.control.status import MasterState, Status, WorkerStatus

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_STATES = ("STOPPED", "STARTING", "RUNNING", "STOPPING", "BACKOFF", "FATAL", "WAITING", "SLEEPING")


@dataclass(frozen=True, slots=True)
class _PerBot:
    """One metric that every bot has."""

    name: str
    help: str
    value: Callable[[WorkerStatus], float]
    is_counter: bool = False


_PER_BOT = (
    _PerBot("bot_up", "1 if the bot is RUNNING or SLEEPING.", lambda w: w.state in UP),
    _PerBot("bot_wanted", "1 if the bot is wanted to run.", is_wanted),
    _PerBot("bot_ingress_ok", "1 if updates reach the inbox.", lambda w: w.ingress == "ok"),
    _PerBot("bot_messages", "Updates acknowledged as processed.", lambda w: w.messages, is_counter=True),
    _PerBot("bot_errors", "Updates that failed.", lambda w: w.errors, is_counter=True),
    _PerBot("bot_restarts", "Processes after the first.", lambda w: w.restarts, is_counter=True),
    _PerBot("bot_wakes", "Ends of the bot's sleep.", lambda w: w.wakes, is_counter=True),
    _PerBot("bot_uptime_seconds", "Age of the bot's process.", lambda w: w.uptime / 1000),
    _PerBot("bot_memory_bytes", "Private memory of the bot's process.", lambda w: w.memory_bytes),
    _PerBot(
        "bot_heartbeat_age_seconds", "Since the last heartbeat.", lambda w: (w.heartbeat_age_ms or 0) / 1000
    ),
    _PerBot("bot_inbox_updates", "Updates that wait, those in flight included.", lambda w: w.inbox),
    _PerBot(
        "bot_telegram_pending_updates",
        "Updates that Telegram holds for a webhook, as it last said.",
        lambda w: w.telegram_pending or 0,
    ),
    _PerBot(
        "bot_ingress_switches", "Changes between webhook and polling.", lambda w: w.switches, is_counter=True
    ),
    _PerBot("bot_in_flight_updates", "Updates the bot works on.", lambda w: w.in_flight),
    _PerBot(
        "bot_oldest_in_flight_seconds", "Age of the oldest of them.", lambda w: w.oldest_in_flight_ms / 1000
    ),
)


class _StatusCollector(Collector):
    """Yields the metrics of one snapshot."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield from self._of_master()
        if self._status.jobs is not None:
            yield from job_metrics(self._status.jobs)
        for metric in _PER_BOT:
            family = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
            series = family(f"brama_{metric.name}", metric.help, labels=["bot"])
            for worker in self._status.workers:
                series.add_metric([worker.bot_id], metric.value(worker))
            yield series

    def _of_master(self) -> Iterator[Metric]:
        master, totals = self._status.master, self._status.totals
        info = GaugeMetricFamily("brama_info", "1, labelled by the master's version.", labels=["version"])
        info.add_metric([master.version], 1)
        yield info
        running = master.state is MasterState.RUNNING
        yield GaugeMetricFamily("brama_running", "1 unless the master starts or stops.", value=running)
        yield GaugeMetricFamily("brama_uptime_seconds", "Age of the master.", value=master.uptime_ms / 1000)
        states = GaugeMetricFamily("brama_bots", "Bots by state.", labels=["state"])
        counted = Counter(worker.state for worker in self._status.workers)
        for state in _STATES:
            states.add_metric([state], counted[state])
        yield states
        yield GaugeMetricFamily("brama_inbox_updates", "Updates that wait for bots.", value=totals.inbox)
        yield GaugeMetricFamily("brama_dead_letters", "Updates given up and kept.", value=totals.dead_letters)
        yield CounterMetricFamily("brama_duplicates", "Updates known already.", value=totals.duplicates)
        orphans = sum(orphan.inbox for orphan in self._status.orphans)
        yield GaugeMetricFamily("brama_orphaned_updates", "Updates kept of removed bots.", value=orphans)
        refused = bool(master.reload_problems)
        yield GaugeMetricFamily("brama_reload_refused", "1 if the last reload was refused.", value=refused)
        refused = bool(master.restart_problems)
        yield GaugeMetricFamily(
            "brama_hot_restart_refused", "1 if the last hot restart was refused, or is stuck.", value=refused
        )
        yield CounterMetricFamily("brama_hot_restarts", "Hot restarts.", value=master.hot_restarts)
        yield GaugeMetricFamily(
            "brama_renewing",
            "Bots still in a process from before the last hot restart.",
            value=master.renewing,
        )
        yield from self._of_sources()

    def _of_sources(self) -> Iterator[Metric]:
        if (webhook := self._status.webhook) is not None:
            deliveries = CounterMetricFamily(
                "brama_webhook_deliveries", "Requests that brought updates, by outcome.", labels=["outcome"]
            )
            for outcome in ("accepted", "duplicates", "refused"):
                deliveries.add_metric([outcome], getattr(webhook, outcome))
            yield deliveries
        if (platform := self._status.platform) is not None:
            yield GaugeMetricFamily(
                "brama_platform_ok", "1 if the platform's last answer is in use.", value=platform.ok
            )
            if platform.age_ms is not None:
                yield GaugeMetricFamily(
                    "brama_platform_age_seconds", "Age of that answer.", value=platform.age_ms / 1000
                )


def render_metrics(status: Status) -> bytes:
    """Return ``status`` in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status))
    return generate_latest(registry)
