"""The sentences that explain a worker's state to people."""

from brama.exit_codes import ExitCode

ASKING_IDENTITY = "asking Telegram who this is"
STOPPED_BY_COMMAND = "stopped by command"
STARTED_BY_COMMAND = "started by command; the configuration says enabled: false"
DISABLED = "disabled in the configuration (enabled: false)"
INCOMPLETE = "its entry has no token, or no script and no app; complete it first"
REMOVED = "removed from the configuration"
ENTRY_CHANGED = "restarting: its configuration changed"
CODE_CHANGED = "restarting with the new code"
HANDING_OVER = "ending before the supervisor is replaced"
STARTING_UP = "the supervisor is starting"
BEING_REPLACED = "the supervisor is being replaced"
SHUTTING_DOWN = "the supervisor is stopping"
STOP_COMMANDED = "stopping by command"
RESTART_COMMANDED = "restarting by command"
FALLING_ASLEEP = "idle: falling asleep"
ASLEEP = "its next update wakes it"

_MEGABYTE = 1024 * 1024


def describe_exit(code: int | None, signal: str | None) -> str:
    """Return what a process's end looked like from outside."""
    if signal is not None:
        return f"killed by {signal}"
    if code == ExitCode.OK:
        return "ended by itself (exit code 0)"
    return f"exit code {code}"


def unreachable(detail: str) -> str:
    """Return why the identity is still unknown."""
    return f"Bot API unreachable: {detail}"


def rejected(detail: str) -> str:
    """Return why a token is of no use."""
    return f"Telegram rejected the token: {detail}"


def not_polling(start_timeout_s: float) -> str:
    """Return why a boot was ended."""
    return f"no Application polling within {seconds(start_timeout_s)} (limits.start_timeout)"


def hung(worker_timeout_s: float) -> str:
    """Return why a running worker was ended."""
    return f"hung: no heartbeat for {seconds(worker_timeout_s)} (limits.worker_timeout)"


def making_room(refusal: str) -> str:
    """Return why a bot without room does not wait for long."""
    return f"an idle bot is asked for its place: {refusal}"


def stays_awake(detail: str) -> str:
    """Return why an idle bot runs on."""
    return f"stays awake: {detail}"


def other_protocol(spoken: int, known: int) -> str:
    """Return why a process cannot be gone on with."""
    return f"speaks version {spoken} of the pipe's protocol, and the supervisor {known}"


def over_memory(used_bytes: int, cap_bytes: int) -> str:
    """Return why a worker is recycled."""
    return f"uses {megabytes(used_bytes)}, more than {megabytes(cap_bytes)} (limits.memory_per_worker)"


def budget_spent(cause: str, deaths: int, window_s: float, budget: int) -> str:
    """Return why a bot is given up after its deaths; ``cause`` is the last one's."""
    return f"{cause}; {deaths} deaths within {seconds(window_s)}, restart.budget is {budget}"


def cooling_down(cause: str, wait_s: float) -> str:
    """Return why a bot does not run at the moment."""
    return f"{cause}; starts again after {seconds(wait_s)}"


def seconds(duration_s: float) -> str:
    """Return a duration as people read it: "90 s"."""
    return f"{duration_s:g} s"


def megabytes(size_bytes: int) -> str:
    """Return a size as people read it: "151 MB"; a MB is 1024 KB, as in the configuration."""
    return f"{size_bytes / _MEGABYTE:.0f} MB"
