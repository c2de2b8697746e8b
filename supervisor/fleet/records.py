"""What one master's fleet leaves to the next: a record of every bot.

Field names are a format between versions: a field may be added with a default, none may change its meaning.

Runs in: master.
"""

import os
import signal
from contextlib import suppress

import msgspec

from brama.log import get_logger
from brama.messages import PROTOCOL_VERSION
from supervisor.fleet.member import Member
from supervisor.fleet.policy.model import Worker
from supervisor.fleet.worker_handle import Past

log = get_logger(__name__)


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process that goes on. ``protocol`` is what it speaks; ``pipe`` a file descriptor, -1 in a draft.

    ``unanswered_jobs`` are the numbers of jobs that it has asked for and that are to be asked for again.
    """

    pid: int
    pipe: int
    protocol: int
    past: Past
    delivering: bool
    shared_bytes: int
    unanswered_jobs: tuple[int, ...] = ()


class MemberRecord(msgspec.Struct, frozen=True):
    """One bot. ``identity`` is what getMe returned; ``allowed_updates`` what its script ``has_asked`` for."""

    bot_id: str
    telegram_id: int
    worker: Worker
    identity: bytes | None
    has_asked: bool
    allowed_updates: list[str] | None
    messages: int
    errors: int
    memory_bytes: int
    heartbeat_at: float | None
    process: ProcessRecord | None = None


def draft_record(member: Member) -> MemberRecord:
    """Return the record of a bot that goes on under this master."""
    handle = member.handle
    return _record(member, None if handle is None else _process(member, -1, handle.past))


def final_record(member: Member, unanswered_jobs: tuple[int, ...] = ()) -> MemberRecord:
    """Return the record of a bot, whose process this master lets go of."""
    if (handle := member.handle) is None:
        return _record(member, None)
    pipe, past = handle.hand_over()
    return _record(member, _process(member, pipe, past, unanswered_jobs))


def end_disowned(record: MemberRecord) -> None:
    """Kill a process that was left by another master and that no bot of this one goes on with."""
    if record.process is not None:
        log.error("worker.disowned", bot=record.bot_id, pid=record.process.pid)
        os.close(record.process.pipe)
        with suppress(ProcessLookupError):
            os.killpg(record.process.pid, signal.SIGKILL)


def _record(member: Member, process: ProcessRecord | None) -> MemberRecord:
    return MemberRecord(
        bot_id=member.settings.id,
        telegram_id=member.settings.telegram_id,
        worker=member.worker,
        identity=member.identity,
        has_asked=member.has_asked,
        allowed_updates=member.allowed_updates,
        messages=member.messages,
        errors=member.errors,
        memory_bytes=member.memory_bytes,
        heartbeat_at=member.heartbeat_at,
        process=process,
    )


def _process(member: Member, pipe: int, past: Past, unanswered_jobs: tuple[int, ...] = ()) -> ProcessRecord:
    assert member.handle is not None
    return ProcessRecord(
        pid=member.handle.pid,
        pipe=pipe,
        protocol=PROTOCOL_VERSION,
        past=past,
        delivering=member.delivering,
        shared_bytes=member.shared_bytes,
        unanswered_jobs=unanswered_jobs,
    )
