"""Says how the job queue is, in lines below the table of bots."""

from collections import Counter
from collections.abc import Iterator

from supervisor.control.jobs_status import EngineState, JobsStatus, JobWorkerStatus
from supervisor.control.policy.progress import UP
from supervisor.control.policy.words import enumerate_words, plural, spell_count, spell_duration, spell_size

#: Job workers with a line of their own; of more, only those that are not up.
MAX_WORKERS = 4


def describe_jobs(jobs: JobsStatus) -> Iterator[str]:
    """Yield a line about the queue, one for each worker, and one for each thing that is wrong."""
    engine = f"server {jobs.engine}"
    if jobs.server_pid is not None:
        engine += f" (pid {jobs.server_pid})"
    counts = (
        ("waiting", jobs.waiting),
        ("active", jobs.active),
        ("delayed", jobs.delayed),
        ("failed", jobs.failed),
        ("dead letters", jobs.dead_letters),
        ("outbox", jobs.outbox),
    )
    numbers = " · ".join(f"{name} {spell_count(count)}" for name, count in counts)
    yield f"jobs: {engine} · {_describe_workers(jobs)} · {numbers}"
    if jobs.engine is not EngineState.OK and jobs.reason:
        yield f"jobs: {jobs.reason}"
    if paused := [queue.name for queue in jobs.queues if queue.is_paused]:
        yield f"jobs: paused: {enumerate_words(paused)}"
    if jobs.unserved:
        yield f"jobs: nobody takes the jobs of {enumerate_words(jobs.unserved)}; see jobs.modules"
    if jobs.alert is not None and jobs.alert.error:
        yield f"jobs: {plural(jobs.alert.waiting, 'alert')} not delivered: {jobs.alert.error}"
    numbered = list(enumerate(jobs.workers, 1))
    if len(numbered) > MAX_WORKERS:
        numbered = [(number, worker) for number, worker in numbered if worker.state not in UP]
    for number, worker in numbered[:MAX_WORKERS]:
        yield f"job worker {number}: {_describe_worker(worker)}"
    if (more := len(numbered) - MAX_WORKERS) > 0:
        yield f"and {plural(more, 'job worker')} more that {'is' if more == 1 else 'are'} not up"


def _describe_workers(jobs: JobsStatus) -> str:
    states = Counter(worker.state.lower() for worker in jobs.workers)
    counted = ", ".join(f"{spell_count(count)} {state}" for state, count in states.most_common())
    return plural(len(jobs.workers), "worker") + (f": {counted}" if counted else "")


def _describe_worker(worker: JobWorkerStatus) -> str:
    parts = [worker.state]
    if worker.pid is not None:
        parts += [f"pid {worker.pid}", f"up {spell_duration(worker.uptime)}", spell_size(worker.memory_bytes)]
    parts += [f"{name} {spell_count(count)}" for name, count in _counters(worker)]
    if worker.reason:
        parts.append(worker.reason)
    return " · ".join(parts)


def _counters(worker: JobWorkerStatus) -> tuple[tuple[str, int], ...]:
    return (
        ("active", worker.active),
        ("done", worker.done),
        ("failed", worker.failed),
        ("restarts", worker.restarts),
    )
