"""What the policy wants done: imperatives, applied by the shell in the order given.

There is no effect for the timer: the shell keeps it at ``Worker.deadline_at``.
"""

from dataclasses import dataclass

from supervisor.fleet.policy.model import Wanted


@dataclass(frozen=True, slots=True)
class OpenIngress:
    """Fetch the bot's updates from Telegram."""


@dataclass(frozen=True, slots=True)
class CloseIngress:
    """Fetch no more updates for the bot."""


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep what is wanted on disk."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Spawn:
    """Fork a process of this generation, or answer that there is no room."""

    generation: int


@dataclass(frozen=True, slots=True)
class CancelSpawn:
    """Withdraw the fork if the zygote has not been asked yet; it is then answered as failed."""

    generation: int


@dataclass(frozen=True, slots=True)
class SendBoot:
    """Tell the new process which bot it is. Without it no process is a bot."""


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """Hand waiting updates to the process."""


@dataclass(frozen=True, slots=True)
class HoldDelivery:
    """Hand no further update to the process."""


@dataclass(frozen=True, slots=True)
class SendDrain:
    """Ask the process to finish what has begun and end."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM to the process."""


@dataclass(frozen=True, slots=True)
class DumpStacks:
    """SIGABRT and SIGCONT to the process: it writes its stacks down and dies, stopped or not."""


@dataclass(frozen=True, slots=True)
class KillGroup:
    """SIGKILL to the process and its group."""


Effect = (
    OpenIngress
    | CloseIngress
    | Remember
    | Spawn
    | CancelSpawn
    | SendBoot
    | OpenDelivery
    | HoldDelivery
    | SendDrain
    | Terminate
    | DumpStacks
    | KillGroup
)
