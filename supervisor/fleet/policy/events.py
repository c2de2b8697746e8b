"""What can happen to a worker: past facts, told to the policy in the order they were learned."""

from dataclasses import dataclass

# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MasterStarted:
    """The fleet came up; the bot is to become what is wanted of it.

    ``slept``: it did so when the last master ended.
    """

    slept: bool = False


@dataclass(frozen=True, slots=True)
class StartCommanded:
    """An operator said ``start``."""


@dataclass(frozen=True, slots=True)
class StopCommanded:
    """An operator said ``stop``."""


@dataclass(frozen=True, slots=True)
class RestartCommanded:
    """An operator said ``restart``."""


@dataclass(frozen=True, slots=True)
class ShutdownCommanded:
    """The master ends; every process is to be gone within ``timeout_s`` seconds, 0 meaning at once."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Retired:
    """Another master takes over that cannot go on with the bot's process."""


@dataclass(frozen=True, slots=True)
class CodeChanged:
    """Another master has taken over; the bot's process was forked by the one before."""


# --- the configuration ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Enabled:
    """The configuration wants the bot to run, and no operator said otherwise."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """The configuration wants the bot no more; ``reason`` is a sentence about that."""

    reason: str


@dataclass(frozen=True, slots=True)
class EntryChanged:
    """What a process is told at its boot is different now: one that runs is of the past."""


@dataclass(frozen=True, slots=True)
class LimitsChanged:
    """The knobs the bot is judged by are different now."""


# --- what the poller learned ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IdentityKnown:
    """Telegram, or the cache of its answer, said who this bot is."""


@dataclass(frozen=True, slots=True)
class IdentityUnreachable:
    """getMe got no answer; the poller asks again."""

    detail: str


@dataclass(frozen=True, slots=True)
class TokenRejected:
    """Telegram answered 401 or 404 to the bot's token."""

    detail: str


@dataclass(frozen=True, slots=True)
class UpdatesWaited:
    """There are updates for the bot, and no process to take them."""


# --- the fork ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpawnSucceeded:
    """The zygote forked and the master watches the process."""

    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """No process came of the fork that was asked for."""

    detail: str


@dataclass(frozen=True, slots=True)
class CapacityRefused:
    """There is no room for one more process; ``reason`` names the key to change."""

    reason: str


@dataclass(frozen=True, slots=True)
class CapacityFreed:
    """There may be room again."""


# --- the process ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadyReceived:
    """The bot's Application polls, as far as it knows."""


@dataclass(frozen=True, slots=True)
class BootFailed:
    """The worker is about to exit and said why; not ``permanent``: another attempt may succeed."""

    permanent: bool
    detail: str


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    """The worker's event loop turns; its private memory in bytes, 0: not measured."""

    uss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SleepAgreed:
    """The worker, asked, has nothing that would be missed, and is on its way to its end."""


@dataclass(frozen=True, slots=True)
class SleepRefused:
    """The worker, asked, stays: ``reason`` says in a clause what keeps it awake."""

    reason: str


@dataclass(frozen=True, slots=True)
class MemorySampled:
    """The master read how much private memory the process has, in bytes."""

    private_bytes: int


@dataclass(frozen=True, slots=True)
class LinkBroken:
    """The worker closed its pipe or wrote nonsense into it, and lives on."""

    detail: str


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """The process and its strays are gone.

    One of ``code`` and ``signal`` (its name) is set. ``charged``: an update is to blame and pays for it.
    """

    code: int | None = None
    signal: str | None = None
    charged: bool = False


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The worker's deadline is over."""


Event = (
    MasterStarted
    | StartCommanded
    | StopCommanded
    | RestartCommanded
    | ShutdownCommanded
    | Retired
    | CodeChanged
    | Enabled
    | Disabled
    | EntryChanged
    | LimitsChanged
    | IdentityKnown
    | IdentityUnreachable
    | TokenRejected
    | UpdatesWaited
    | SpawnSucceeded
    | SpawnFailed
    | CapacityRefused
    | CapacityFreed
    | ReadyReceived
    | BootFailed
    | HeartbeatReceived
    | SleepAgreed
    | SleepRefused
    | MemorySampled
    | LinkBroken
    | WorkerExited
    | DeadlinePassed
)
