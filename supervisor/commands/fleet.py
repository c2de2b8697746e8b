"""``start``, ``stop`` and ``restart``: of the master, or of single bots under a running one.

Runs in: command line; ``start`` becomes the master.
"""

import gc
import os
import select
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from brama.errors import BramaError, NoMasterError
from brama.exit_codes import ExitCode
from supervisor.commands.options import BotsArgument, ConfigOption, config_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from brama.config.settings import Settings
    from supervisor.commands.project import Project
    from supervisor.control.ports import Verb
    from supervisor.handover.records import Handover

#: Warming the zygote and opening the state file, on a slow machine.
_READY_TIMEOUT_S = 120.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(start)
    app.command()(stop)
    app.command()(restart)


def start(
    context: typer.Context,
    bots: BotsArgument = None,
    config: ConfigOption = None,
    daemon: Annotated[bool, typer.Option("--daemon", "-d", help="Run in the background.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the configuration only.")] = False,
) -> int:
    """Start the fleet, or single bots of one that runs.

    Without BOT the master is started with all its bots. In the foreground a terminal shows a live table,
    anything else gets one line an event; Ctrl-C stops the fleet gracefully, a second one at once.

    With BOT the running master starts those bots. They stay wanted over restarts of the master.

    \b
    Examples:
      brama-supervisor start
      brama-supervisor start --daemon --config /srv/bots/brama.yaml
      brama-supervisor start shop support
    """
    from supervisor.control.ports import Verb

    config = config_of(context, config)
    if dry_run:
        from supervisor.commands.check import check_configuration

        return check_configuration(config)
    if bots:
        if daemon:
            raise typer.BadParameter("starts a master, which takes no BOT", param_hint="--daemon")
        return _command_bots(Verb.START, bots, config)
    from supervisor.commands.check import load
    from supervisor.handover.program import find_program, take_handover

    if (handover := take_handover()) is not None:
        gc.disable()  # until all is built: others wait
        return _go_on(load(Path(handover.config)), handover)
    settings = load(config)
    program = find_program(sys.argv[0], os.environ)
    return _start_daemon(settings, program) if daemon else _start_foreground(settings, program)


def stop(context: typer.Context, bots: BotsArgument = None, config: ConfigOption = None) -> int:
    """Stop the fleet gracefully, or single bots of it.

    Updates in flight are finished first; what waits is kept for the next start.

    A single bot that is stopped stays stopped over restarts of the master, until it is started.

    \b
    Examples:
      brama-supervisor stop
      brama-supervisor stop shop
    """
    from supervisor.commands.project import open_project
    from supervisor.control.ports import Verb

    config = config_of(context, config)
    if bots:
        return _command_bots(Verb.STOP, bots, config)
    with open_project(config) as project:
        try:
            stopped = _stop_master(project)
        except NoMasterError as error:
            raise NoMasterError(f"{error} for {project.config_path}; there is nothing to stop") from error
    typer.echo(f"stopped (pid {stopped.pid})")
    return ExitCode.OK


def restart(
    context: typer.Context,
    bots: BotsArgument = None,
    config: ConfigOption = None,
    cold: Annotated[bool, typer.Option("--cold", help="Stop everything, then start it.")] = False,
) -> int:
    """Restart the fleet without a gap, or single bots with their new code.

    Without BOT the master is replaced by the code that is installed now, with the configuration as it is now,
    in the same process: its pid stays, no connection is refused, bots go on and are then restarted one after
    the other. The new code is tried out first; if it cannot start, nothing changes. SIGUSR2 to the master
    does the same.

    \b
    Examples:
      brama-supervisor restart
      brama-supervisor restart shop
      brama-supervisor restart --cold
    """
    from supervisor.commands.check import load
    from supervisor.commands.project import open_project
    from supervisor.control.ports import Verb
    from supervisor.handover.program import find_program

    config = config_of(context, config)
    if bots:
        if cold:
            raise typer.BadParameter("is about the whole fleet, so it takes no BOT", param_hint="--cold")
        return _command_bots(Verb.RESTART, bots, config)
    if cold:
        load(config)  # before anything is stopped
    with open_project(config) as project:
        try:
            if not cold:
                from supervisor.commands.hot_restart import restart_hot

                return restart_hot(project.client)
            stopped = _stop_master(project)
        except NoMasterError:
            sys.stderr.write(f"no master ran for {project.config_path}; starting one\n")
        else:
            typer.echo(f"stopped (pid {stopped.pid})")
            if not stopped.was_daemon:
                sys.stderr.write("the master ran in the foreground; it comes back as a daemon\n")
        return _become_start(find_program(sys.argv[0], os.environ), project.config_path)


def _become_start(program: Path, config: Path) -> NoReturn:
    """Go on as ``start --daemon``, so that the list of processes does not show a restart for ever.

    Raises:
        BramaError: it cannot be executed.
    """
    sys.stdout.flush()
    try:
        os.execv(program, [str(program), "start", "--daemon", "--config", str(config)])
    except OSError as error:
        raise BramaError(f"{program} cannot be executed: {error.strerror}; install it again") from None


def _start_foreground(settings: "Settings", program: Path) -> int:
    from supervisor.commands.project import naming_config

    shows_table = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    with naming_config(settings.config_path):
        code = _run_master(settings, program, foreground_table=shows_table)
    if _is_output_stuck():
        # Nobody takes what is written (Ctrl-S, a stopped ssh): the interpreter would wait for that to change.
        os._exit(code)
    if shows_table:  # it went with its screen, and nothing else says that the end was a good one
        typer.echo("stopped" if code == ExitCode.OK else f"ended with exit code {code}")
    return code


def _go_on(settings: "Settings", handover: "Handover") -> int:
    """Be the master that follows another in this process."""
    from supervisor.app import run

    program = Path(handover.program)
    return run(settings, program=program, handover=handover, foreground_table=handover.has_table)


def _is_output_stuck() -> bool:
    """Return whether a thread of the master that has ended, or we, could not write to standard output."""
    if any(thread.daemon for thread in threading.enumerate()):
        return True
    return not select.select([], [sys.stdout], [], 0)[1]


def _run_master(
    settings: "Settings",
    program: Path,
    *,
    on_ready: "Callable[[], None] | None" = None,
    foreground_table: bool = False,
) -> int:
    from supervisor.fleet.zygote_start import start_zygote, zygote_environment

    environment = zygote_environment(os.environ, settings.zygote.preload, settings.project_root)
    zygote = start_zygote(environment)
    from supervisor.app import run  # takes as long to import as the zygote to warm up

    return run(settings, program=program, zygote=zygote, on_ready=on_ready, foreground_table=foreground_table)


def _start_daemon(settings: "Settings", program: Path) -> int:
    from supervisor.commands.daemon import launch

    launched = launch(
        lambda on_ready: _run_daemon(settings, program, on_ready),
        folder=settings.project_root,
        error_log=settings.logs_dir / "master.err",
        timeout_s=_READY_TIMEOUT_S,
    )
    if launched.failure is not None:
        return launched.failure
    return _report_start(settings, launched.pid)


def _run_daemon(settings: "Settings", program: Path, on_ready: "Callable[[], None]") -> int:
    """Be the daemon; errors go to stderr, which the caller shows."""
    from supervisor.commands.failures import say_failure
    from supervisor.commands.project import naming_config

    try:
        with naming_config(settings.config_path):
            return _run_master(settings, program, on_ready=on_ready)
    except BramaError as error:
        return say_failure(error)


def _report_start(settings: "Settings", pid: int) -> int:
    """Wait for the bots of a master that serves, and say where it is and what is wrong."""
    from supervisor.commands.advice import command_line
    from supervisor.commands.waiting import wait_started
    from supervisor.control.client import ControlClient
    from supervisor.control.policy.progress import describe_progress
    from supervisor.control.socket_path import socket_path

    client = ControlClient(socket_path(settings.state_dir))
    try:
        progress = wait_started(client, patience_s=settings.limits.start_timeout)
    except NoMasterError:
        sys.stderr.write(
            f"brama-supervisor: the master (pid {pid}) ended while it started its bots; "
            f"{command_line('logs', settings.config_path)} shows why\n"
        )
        return ExitCode.FAILED
    see = command_line("status", settings.config_path)
    typer.echo(f"started as pid {pid}, {describe_progress(progress)}; see {see}")
    for trouble in progress.troubles:
        sys.stderr.write(f"{trouble.bot_id}: {trouble.state}: {trouble.reason}\n")
    if progress.unnamed_troubles > 0:
        sys.stderr.write(f"and {progress.unnamed_troubles} more\n")
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A master that has gone."""

    pid: int
    was_daemon: bool


def _stop_master(project: "Project") -> _Stopped:
    """Stop the master and wait until it has gone."""
    from supervisor.commands.waiting import wait_stopped

    client = project.client
    process = client.master_process()
    was_daemon = process.is_daemon
    processes = client.progress().alive
    answer = client.stop()
    try:
        wait_stopped(client, process, answer.deadline_s, processes)
    except KeyboardInterrupt:
        sys.stderr.write(f"the master (pid {answer.pid}) goes on stopping\n")
        raise
    return _Stopped(process.pid or answer.pid, was_daemon)


def _command_bots(verb: "Verb", bots: list[str], config: Path | None) -> int:
    """Send a command about single bots and say where it got them."""
    from supervisor.commands.advice import no_master
    from supervisor.commands.project import open_project
    from supervisor.commands.waiting import wait_for_goals
    from supervisor.control.policy.goals import Outcome

    with open_project(config) as project:
        client = project.client
        bots = list(dict.fromkeys(bots))
        try:
            generations = {worker.bot_id: worker.generation for worker in client.status().workers}
            details = {result.bot_id: result.detail for result in client.command(verb, bots)}
            arrivals = wait_for_goals(client, verb, bots, generations)
        except NoMasterError as error:
            raise no_master(project, error) from error
    for arrival in arrivals:
        worker = arrival.worker
        words = [f"{worker.bot_id}: {worker.state}"]
        words += [f"(pid {worker.pid})"] if worker.pid and arrival.outcome is Outcome.REACHED else []
        remark = "" if arrival.outcome is Outcome.REACHED else worker.reason or details.get(worker.bot_id)
        typer.echo(" ".join(words) + (f": {remark}" if remark else ""))
    return ExitCode.OK if all(each.outcome is Outcome.REACHED for each in arrivals) else ExitCode.FAILED
