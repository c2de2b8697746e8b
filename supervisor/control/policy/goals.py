"""Decides whether a commanded bot has got where the operator sent it."""

from enum import StrEnum

from supervisor.control.policy.progress import UP, is_passing
from supervisor.control.ports import Verb
from supervisor.control.status import WorkerStatus

#: From these a bot gets nowhere within the patience of somebody at a terminal.
_STUCK = frozenset({"FATAL", "BACKOFF", "WAITING"})


class Outcome(StrEnum):
    """Where a bot stands between a command and its goal."""

    REACHED = "reached"
    MISSED = "missed"
    PENDING = "pending"


def judge(verb: Verb, generation_before: int, worker: WorkerStatus) -> Outcome:
    """Return where ``worker`` stands.

    ``generation_before`` is the bot's generation before the command: a restart needs a later one.
    """
    if verb is Verb.STOP:
        return Outcome.REACHED if worker.state == "STOPPED" else Outcome.PENDING
    if worker.state in _STUCK and not is_passing(worker):
        return Outcome.MISSED
    if worker.wanted == "STOPPED":  # commanded otherwise by somebody else meanwhile
        return Outcome.MISSED
    if worker.state not in UP:
        return Outcome.PENDING
    is_renewed = worker.generation > generation_before or worker.state == "SLEEPING"
    return Outcome.REACHED if verb is Verb.START or is_renewed else Outcome.PENDING
