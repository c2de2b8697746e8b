"""Decides how a bot comes from one master to the next without an end."""

from dataclasses import replace

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.commands import want_anew
from supervisor.fleet.policy.endings import end
from supervisor.fleet.policy.model import ALIVE, Limits, Phase, Sequel, Worker
from supervisor.fleet.policy.moves import Decision


def retire(worker: Worker, now: float, limits: Limits) -> Decision:
    """The next master cannot go on with the process: as ``stop``, but intake goes on."""
    retiring = replace(worker, shutting_down=True)
    return end(retiring, now, limits, limits.stop_timeout_s, Sequel.STOP, reasons.HANDING_OVER)


def renew_code(worker: Worker, now: float, limits: Limits) -> Decision:
    """The process runs code of the master before: as ``restart`` if it serves or is about to."""
    if not worker.is_up or worker.phase not in (Phase.BOOT, Phase.SERVE):
        return worker, ()
    return want_anew(worker, now, limits, reasons.CODE_CHANGED)


def inherit(fresh: Worker, left: Worker) -> Worker:
    """Return the worker that the next master begins with.

    A process goes on in its phase, with what was wanted of it: what is wanted now is an event to follow.
    Without one, everything but the numbers begins anew, as after ``restart``.

    Args:
        fresh: as the configuration and the operators want it.
        left: as the master before has left it.
    """
    if left.phase not in ALIVE:
        return replace(fresh, generation=left.generation, starts=left.starts, wakes=left.wakes)
    return replace(left, unwanted_because=fresh.unwanted_because, shutting_down=False)
