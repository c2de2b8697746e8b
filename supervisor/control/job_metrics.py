"""Renders what the status says of jobs as Prometheus metrics.

Series are labelled by queue, worker, state and cause, none of which grows by itself.

Runs in: master (a thread).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from supervisor.control.jobs_status import EngineState, JobsStatus, JobWorkerStatus
from supervisor.control.policy.progress import UP

_STATES = ("waiting", "active", "delayed", "completed", "failed")


@dataclass(frozen=True, slots=True)
class _PerWorker:
    """One metric that every job worker has."""

    name: str
    help: str
    value: Callable[[JobWorkerStatus], float]
    is_counter: bool = False


_PER_WORKER = (
    _PerWorker("up", "1 if the job worker is RUNNING.", lambda w: w.state in UP),
    _PerWorker("active", "Jobs in the worker's hands.", lambda w: w.active),
    _PerWorker("completed", "Jobs that its process completed.", lambda w: w.done, is_counter=True),
    _PerWorker("failed", "Jobs that its process gave up.", lambda w: w.failed, is_counter=True),
    _PerWorker("restarts", "Processes after the first.", lambda w: w.restarts, is_counter=True),
    _PerWorker("memory_bytes", "Private memory of the worker.", lambda w: w.memory_bytes),
    _PerWorker(
        "heartbeat_age_seconds", "Since the last heartbeat.", lambda w: (w.heartbeat_age_ms or 0) / 1000
    ),
)


def job_metrics(jobs: JobsStatus) -> Iterator[Metric]:
    """Yield the metrics of the job queue."""
    up = jobs.engine is EngineState.OK
    yield GaugeMetricFamily("brama_jobs_engine_up", "1 if the queue's server takes jobs.", value=up)
    depth = GaugeMetricFamily("brama_jobs_queue", "Jobs by queue and state.", labels=["queue", "state"])
    paused = GaugeMetricFamily("brama_jobs_queue_paused", "1 if the queue is paused.", labels=["queue"])
    for queue in jobs.queues:
        for state in _STATES:
            depth.add_metric([queue.name, state], getattr(queue, state))
        paused.add_metric([queue.name], queue.is_paused)
    yield from (depth, paused)
    letters = GaugeMetricFamily(
        "brama_jobs_dead_letters", "Open dead letters of jobs, by cause.", labels=["cause"]
    )
    for cause, count in sorted(jobs.causes.items()):
        letters.add_metric([cause], count)
    yield letters
    yield GaugeMetricFamily(
        "brama_jobs_outbox", "Accepted jobs that wait for the queue's server.", value=jobs.outbox
    )
    for metric in _PER_WORKER:
        family = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
        series = family(f"brama_jobs_worker_{metric.name}", metric.help, labels=["worker"])
        for number, worker in enumerate(jobs.workers, 1):
            series.add_metric([str(number)], metric.value(worker))
        yield series
    if (alert := jobs.alert) is not None:
        waiting = alert.waiting
        yield GaugeMetricFamily("brama_jobs_alerts_waiting", "Letters not told of yet.", value=waiting)
        for name, help_text, value in (
            ("told", "Letters that somebody was told of.", alert.told),
            ("dropped", "Letters that nobody will be told of.", alert.dropped),
            ("failed", "Posts of alerts that failed.", alert.failures),
        ):
            yield CounterMetricFamily(f"brama_jobs_alerts_{name}", help_text, value=value)
