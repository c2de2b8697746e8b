"""The shape of ``status --json`` and ``GET /api/workers/status``: what the master says of itself and bots.

Field names and order are the JSON's; they are a public format, so a field is only ever added.

Runs in: master | command line.
"""

from enum import StrEnum

import msgspec

from supervisor.control.jobs_status import JobsStatus


class MasterState(StrEnum):
    """What the master is doing."""

    #: Bots are being started for the first time; updates are taken in already.
    STARTING = "starting"
    #: Every wanted bot was started or has a reason why it was not.
    RUNNING = "running"
    #: Ingress is closed, what is in flight is being finished.
    STOPPING = "stopping"


class MasterStatus(msgspec.Struct, frozen=True):
    """The master itself.

    ``config`` is the absolute path of the configuration file. ``reload_problems`` says why the last reload
    changed nothing, a line for each problem; it is empty when the file was taken into use.
    ``restart_problems`` says likewise why the last hot restart did not happen, or is not through.
    ``hot_restarts`` counts those that did, and ``renewing`` bots that still run in a process from before the
    last one; ``renewal_obstacle`` says why none of them is restarted yet, and is None when they are.
    ``cut_short`` are bots whose handlers were not through within ``stop.timeout`` then: what they did was
    ended, and begun again.
    """

    pid: int
    version: str
    uptime_ms: int
    state: MasterState
    config: str
    reload_problems: tuple[str, ...] = ()
    hot_restarts: int = 0
    renewing: int = 0
    restart_problems: tuple[str, ...] = ()
    renewal_obstacle: str | None = None
    cut_short: tuple[str, ...] = ()


class PlatformStatus(msgspec.Struct, frozen=True):
    """The platform's API that lists bots.

    ``ok``: its last answer was taken into use. ``detail`` says what is wrong else. ``age_ms`` is how old the
    answer is that serves, None if there is none. ``from_cache``: it was read from disk at the start.
    """

    ok: bool
    detail: str
    age_ms: int | None
    from_cache: bool
    bots: int


class WebhookStatus(msgspec.Struct, frozen=True):
    """The webhook server: where it listens, and what all deliveries came to since it started."""

    address: str
    accepted: int
    duplicates: int
    refused: int


class OrphanStatus(msgspec.Struct, frozen=True):
    """What is kept of a bot that is not configured, until it returns or ``orphans drop``.

    ``bot_id`` is the last name it had here, None if that is not known.
    """

    telegram_id: int
    bot_id: str | None
    inbox: int
    dead_letters: int


class Totals(msgspec.Struct, frozen=True):
    """Sums over all bots. ``duplicates`` counts updates dropped as duplicates, of both layers.

    ``running`` and ``sleeping`` count bots that are RUNNING and SLEEPING.
    """

    bots: int
    running: int
    inbox: int
    dead_letters: int
    duplicates: int
    sleeping: int = 0


class WorkerStatus(msgspec.Struct, frozen=True):
    """One bot.

    ``state`` and ``wanted`` are fleet states (RUNNING, STOPPED, ...). ``reason`` is a sentence or None: why
    it is in this state, else what is wrong with its intake. ``ingress`` is ok, conflict, unauthorized,
    outage, paced, full or off. ``pid`` is None while no process
    runs. ``generation`` counts processes started for this bot by this master. ``messages`` counts updates
    acknowledged as processed, ``errors`` failed ones, ``restarts`` processes after the first. ``uptime`` is
    in milliseconds. ``heartbeat_age_ms`` is None before the first heartbeat. ``inbox`` counts updates that
    wait, those in flight included.

    ``mode`` is how updates come in now, polling or webhook; ``mode_configured`` how they should. ``switches``
    counts changes between the two that the supervisor made by itself. ``telegram_pending`` is how many
    updates Telegram holds for a webhook, ``telegram_error`` why it could not deliver the last one; both None
    if not known. ``overridden``: a command said otherwise than ``enabled`` in the configuration. ``origin``
    is where the entry stands: file or platform.

    ``idle_timeout_ms``: without an update for so long it may sleep, None: it never does. ``idle_ms``: for how
    long its process has had nothing to do, None if it has, or there is none. ``wakes`` counts ends of its
    sleep, whose processes are no ``restarts``.
    """

    bot_id: str
    state: str
    wanted: str
    reason: str | None
    mode: str
    ingress: str
    pid: int | None
    generation: int
    messages: int
    errors: int
    restarts: int
    uptime: int
    memory_bytes: int
    heartbeat_age_ms: int | None
    in_flight: int
    oldest_in_flight_ms: int
    inbox: int
    mode_configured: str = "polling"
    switches: int = 0
    telegram_pending: int | None = None
    telegram_error: str | None = None
    overridden: bool = False
    origin: str = "file"
    idle_timeout_ms: int | None = None
    idle_ms: int | None = None
    wakes: int = 0


class Status(msgspec.Struct, frozen=True):
    """Everything the master says of itself and its bots at one moment. ``jobs``: None when they are off."""

    master: MasterStatus
    totals: Totals
    workers: tuple[WorkerStatus, ...]
    orphans: tuple[OrphanStatus, ...] = ()
    webhook: WebhookStatus | None = None
    platform: PlatformStatus | None = None
    jobs: JobsStatus | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Status)


def encode_status(status: Status) -> bytes:
    """Return ``status`` as one line of JSON."""
    return _encoder.encode(status)


def decode_status(data: bytes) -> Status:
    """Return the status in ``data``. Raises msgspec.MsgspecError if it is none."""
    return _decoder.decode(data)
