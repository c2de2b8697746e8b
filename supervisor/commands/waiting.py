"""Waits until a fleet or a bot is where a command sent it.

Runs in: command line.
"""

import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brama.clock import monotonic_s
from brama.errors import BramaError, NoMasterError, UnreachableError
from supervisor.commands.progress_line import ProgressLine
from supervisor.control.client import ControlClient, MasterProcess
from supervisor.control.policy.goals import Outcome, judge
from supervisor.control.policy.progress import Progress, describe_progress
from supervisor.control.ports import Verb
from supervisor.control.status import WorkerStatus

#: Between two questions to the master, and as a multiple of the time that the last one took: an answer about
#: ten thousand bots is work for it.
PAUSE_S = 0.1
_SPARE = 10
#: Longest wait without a change for bots that say what holds up their start: more waiting tells nothing new.
HELD_PATIENCE_S = 5.0
#: Beyond the fleet's own deadline: closing the state file and the log.
STOP_MARGIN_S = 15.0
#: Longest wait for commanded bots: as long as a drain and a boot may take by default.
GOAL_TIMEOUT_S = 150.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a commanded bot stands at the end of the wait."""

    worker: WorkerStatus
    outcome: Outcome


def wait_started(client: ControlClient, patience_s: float) -> Progress:
    """Wait until every wanted bot runs or has a reason not to; return how far the fleet has come.

    Gives up when nothing has changed for ``patience_s``, or for HELD_PATIENCE_S while a bot is held up.

    Raises:
        NoMasterError: the master has gone.
    """
    with ProgressLine() as line:
        settled = held = -1
        changed_s = monotonic_s()
        while True:
            asked_s = monotonic_s()
            progress = client.progress()
            pause_s = max(PAUSE_S, _SPARE * (monotonic_s() - asked_s))
            if progress.settled > settled or progress.held > held:
                settled, held = max(settled, progress.settled), max(held, progress.held)
                changed_s = monotonic_s()
            patience = min(patience_s, HELD_PATIENCE_S) if progress.held else patience_s
            if progress.is_settled or monotonic_s() - changed_s > patience:
                return progress
            line.show(describe_progress(progress))
            select.select([], [], [], pause_s)


def wait_stopped(client: ControlClient, process: MasterProcess, deadline_s: float, processes: int) -> None:
    """Wait until the master has gone; ``processes`` is how many bots' it had when it was told to stop.

    Raises:
        BramaError: it is still there STOP_MARGIN_S after ``deadline_s``.
    """
    deadline = monotonic_s() + deadline_s + STOP_MARGIN_S
    with ProgressLine() as line:
        while not process.wait_gone(PAUSE_S):
            try:
                progress = client.progress()
            except NoMasterError:
                if not process.is_visible:
                    return
            except UnreachableError:
                pass  # it is busy ending
            else:
                line.show(describe_progress(progress, processes))
            if monotonic_s() > deadline:
                raise BramaError(
                    f"the master (pid {process.pid}) is not through after {deadline_s + STOP_MARGIN_S:g} s; "
                    f"its log says why; kill -KILL {process.pid} ends it and its bots, no update is lost"
                )


def wait_for_goals(
    client: ControlClient, verb: Verb, bots: Sequence[str], generations: Mapping[str, int]
) -> list[Arrival]:
    """Wait until every bot of ``bots`` is where ``verb`` sends it or is stuck, at most GOAL_TIMEOUT_S.

    ``generations`` are the bots' generations before the command.
    """
    deadline = monotonic_s() + GOAL_TIMEOUT_S
    with ProgressLine() as line:
        while True:
            workers = {worker.bot_id: worker for worker in client.status().workers}
            arrivals = [
                Arrival(worker, judge(verb, generations.get(bot, 0), worker))
                for bot in bots
                if (worker := workers.get(bot)) is not None
            ]
            pending = sum(arrival.outcome is Outcome.PENDING for arrival in arrivals)
            if not pending or monotonic_s() > deadline:
                return arrivals
            line.show(f"{verb}: {len(arrivals) - pending}/{len(arrivals)}")
            select.select([], [], [], PAUSE_S)
