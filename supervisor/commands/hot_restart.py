"""Has a running master replaced in place, and waits until its bots are.

Runs in: command line.
"""

import select
import sys

import typer

from brama.clock import monotonic_s
from brama.errors import BramaError, NoMasterError, UnreachableError
from brama.exit_codes import ExitCode
from supervisor.commands.progress_line import ProgressLine
from supervisor.commands.waiting import PAUSE_S
from supervisor.control.client import ControlClient, MasterProcess
from supervisor.control.policy.words import describe_unrenewed, enumerate_words, plural
from supervisor.control.ports import RestartResult
from supervisor.control.status import MasterStatus

#: From the word of the running master to the first of the next one.
_TAKEOVER_TIMEOUT_S = 60.0


def restart_hot(client: ControlClient) -> int:
    """Restart the master hot; return the exit code once its bots run with the new code.

    Args:
        client: the way to it.

    Raises:
        NoMasterError: none runs.
        BramaError: the next master cannot take over, and nothing has changed; or the master has died; or bots
            cannot be restarted with the new code, and serve on.
    """
    process = client.master_process()
    try:
        return _restart(client, process)
    except KeyboardInterrupt:
        sys.stderr.write(f"the restart of the master (pid {process.pid}) goes on; status shows how it ends\n")
        raise


def _restart(client: ControlClient, process: MasterProcess) -> int:
    began_at = monotonic_s()
    try:
        begun = client.restart()
    except NoMasterError:
        raise BramaError(f"the master (pid {process.pid}) ended instead; its log says why") from None
    with ProgressLine() as line:
        retiring = f" when {plural(len(begun.retiring), 'bot')} have ended" if begun.retiring else ""
        line.show(f"version {begun.version} takes over{retiring}")
        master = _wait_taken_over(client, process, begun)
        bots = renewing = master.renewing
        changed_at = monotonic_s()
        while master.renewing or master.state != "running":
            if master.renewing < renewing:
                renewing, changed_at = master.renewing, monotonic_s()
            is_patient = monotonic_s() - changed_at <= begun.patience_s
            if master.renewal_obstacle and (master.restart_problems or not is_patient):
                raise BramaError(_unrenewed(master, master.renewal_obstacle))
            if not is_patient:
                break
            line.show(f"restarting bots: {bots - master.renewing}/{bots}")
            select.select([], [], [], PAUSE_S)
            master = _status(client, process) or master
    took_s = monotonic_s() - began_at
    typer.echo(f"restarted (pid {master.pid}, version {master.version}) in {took_s:.1f} s")
    if master.cut_short:
        sys.stderr.write(
            f"{enumerate_words(master.cut_short)}: what was being done took longer than stop.timeout; it was "
            "ended, and is begun again\n"
        )
    if master.renewing:
        finish = "finishes what it has" if master.renewing == 1 else "finish what they have"
        sys.stderr.write(f"{plural(master.renewing, 'bot')} still {finish} begun\n")
    return ExitCode.OK


def _unrenewed(master: MasterStatus, obstacle: str) -> str:
    return (
        f"the master is replaced (version {master.version}), but "
        f"{describe_unrenewed(master.renewing, obstacle)}, and status shows when it is done"
    )


def _wait_taken_over(client: ControlClient, process: MasterProcess, begun: RestartResult) -> MasterStatus:
    timeout_s = _TAKEOVER_TIMEOUT_S + (begun.patience_s if begun.retiring else 0.0)
    deadline = monotonic_s() + timeout_s
    while True:
        master = _status(client, process)
        if master is not None and master.hot_restarts > begun.hot_restarts:
            return master
        if master is not None and master.restart_problems:
            raise BramaError("\n".join(master.restart_problems))
        if monotonic_s() > deadline:
            raise BramaError(f"the master has not been replaced after {timeout_s:g} s; see its log")
        select.select([], [], [], PAUSE_S)


def _status(client: ControlClient, process: MasterProcess) -> MasterStatus | None:
    """Return what the master says of itself, None in the very moment in which it is replaced."""
    try:
        return client.status().master
    except (NoMasterError, UnreachableError):
        if process.wait_gone(0):
            raise BramaError(f"the master (pid {process.pid}) ended instead; its log says why") from None
        return None
