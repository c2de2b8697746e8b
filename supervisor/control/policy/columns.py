"""Decides what of a status fits a terminal: which columns, which bots, where the reasons stand."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from supervisor.control.policy.progress import UP, is_wanted
from supervisor.control.policy.words import plural, spell_count, spell_duration, spell_size
from supervisor.control.status import Status, WorkerStatus

#: Between two columns.
GAP = 2
#: A reason in a narrower column is read worse than one below the table.
MIN_REASON_WIDTH = 36


@dataclass(frozen=True, slots=True)
class Column:
    """One column; those of a high ``rank`` are the first to go when there is no room."""

    title: str
    rank: int
    text: Callable[[WorkerStatus], str]
    is_number: bool = True


COLUMNS = (
    Column("bot", 0, lambda w: w.bot_id, is_number=False),
    Column("state", 0, lambda w: w.state, is_number=False),
    Column("mode", 4, lambda w: w.mode if w.mode == w.mode_configured else f"{w.mode}*", is_number=False),
    Column("ingress", 3, lambda w: w.ingress, is_number=False),
    Column("pid", 6, lambda w: str(w.pid) if w.pid else "-"),
    Column("uptime", 5, lambda w: spell_duration(w.uptime) if w.pid else "-"),
    Column("messages", 1, lambda w: spell_count(w.messages)),
    Column("errors", 2, lambda w: spell_count(w.errors)),
    Column("restarts", 7, lambda w: spell_count(w.restarts)),
    Column("memory", 4, lambda w: spell_size(w.memory_bytes) if w.pid else "-"),
    Column("inbox", 1, lambda w: spell_count(w.inbox)),
    Column("in flight", 8, lambda w: spell_count(w.in_flight)),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What is shown. ``is_reason_beside``: reasons have a column of their own, else they stand below."""

    columns: tuple[Column, ...]
    workers: tuple[WorkerStatus, ...]
    hidden: int
    is_reason_beside: bool


def lay_out(status: Status, width: int | None, max_rows: int | None) -> Layout:
    """Return what of ``status`` to show.

    Args:
        status: what there is.
        width: characters of the terminal; None: as many as it takes.
        max_rows: bots there is room for, those in trouble first; None: all, in the configuration's order.
    """
    workers = choose_rows(status.workers, max_rows)
    columns = _columns_for(status)
    longest_reason = max((len(worker.reason or "") for worker in workers), default=0)
    if width is None:
        return Layout(columns, workers, len(status.workers) - len(workers), is_reason_beside=True)
    needed = {column.title: _needed(column, workers) for column in columns}
    reason_width = min(longest_reason, MIN_REASON_WIDTH) or len("reason")
    is_beside = sum(needed.values()) + reason_width <= width
    while len(columns) > 2 and sum(needed[column.title] for column in columns) - GAP > width:
        worst = max(columns, key=lambda column: column.rank)
        columns = tuple(column for column in columns if column is not worst)
    return Layout(columns, workers, len(status.workers) - len(workers), is_beside)


def _columns_for(status: Status) -> tuple[Column, ...]:
    """Return all columns; a fleet that polls and should needs none that says so."""
    if any(worker.mode != "polling" or worker.mode_configured != "polling" for worker in status.workers):
        return COLUMNS
    return tuple(column for column in COLUMNS if column.title != "mode")


def choose_rows(workers: Sequence[WorkerStatus], max_rows: int | None) -> tuple[WorkerStatus, ...]:
    """Return at most ``max_rows`` workers: the ones in trouble first if not all fit."""
    if max_rows is None or len(workers) <= max_rows:
        return tuple(workers)
    return tuple(sorted(workers, key=_calm)[: max(max_rows, 0)])


def summarize(status: Status) -> str:
    """Return the totals: ``3 bots: 2 running, 1 fatal · inbox 0 · dead letters 0 · duplicates 0``."""
    totals = status.totals
    counted = Counter(worker.state.lower() for worker in status.workers)
    states = ", ".join(f"{spell_count(count)} {state}" for state, count in counted.most_common())
    bots = plural(totals.bots, "bot") + (f": {states}" if states else "")
    return (
        f"{bots} · inbox {spell_count(totals.inbox)} · dead letters {spell_count(totals.dead_letters)}"
        f" · duplicates {spell_count(totals.duplicates)}"
    )


def headline(status: Status) -> str:
    """Return who the master is: version, state, pid, age, configuration."""
    master = status.master
    age = spell_duration(master.uptime_ms)
    return (
        f"brama-supervisor {master.version} · {master.state} · pid {master.pid} · up {age} · {master.config}"
    )


def _needed(column: Column, workers: Sequence[WorkerStatus]) -> int:
    return GAP + max([len(column.title), *(len(column.text(worker)) for worker in workers)])


def _calm(worker: WorkerStatus) -> int:
    """Order bots by how little they need an operator's eye."""
    if is_wanted(worker) and worker.state not in UP:
        return 0
    if worker.ingress not in {"ok", "off"}:
        return 1
    return 2 if worker.inbox else 3
