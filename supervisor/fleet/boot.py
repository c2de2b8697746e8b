"""Makes up what a new worker is told it is.

Runs in: master.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from brama.config.environment import bot_environment
from brama.config.settings import BotSettings, Settings
from brama.ids import Generation
from brama.marks import MARKER_VARIABLE, Marker
from brama.messages import PROTOCOL_VERSION, Boot
from supervisor.fleet.member import Member
from supervisor.fleet.policy.capacity import Capacity
from supervisor.fleet.policy.model import Limits


def common_limits(settings: Settings) -> Limits:
    """Return the knobs of a bot that has none of its own."""
    return Limits(
        start_timeout_s=settings.limits.start_timeout,
        worker_timeout_s=settings.limits.worker_timeout,
        stop_timeout_s=settings.stop.timeout,
        cooldown_s=settings.restart.cooldown,
        budget=settings.restart.budget,
        window_s=settings.restart.window,
        memory_bytes=settings.limits.memory_per_worker,
    )


#: Part of its hard guard, in caps, that a worker has beyond what it inherits (bot_worker/limits.py).
MEMORY_GUARD = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What a process was told and takes in live."""

    settings: Mapping[str, Any]
    heartbeat_interval_s: float
    memory_bytes: int


def told_of(member: Member, settings: Settings) -> Told:
    """Return what a process of ``member`` is to know under ``settings``."""
    return Told(member.settings.settings, settings.heartbeat.interval, member.limits.memory_bytes)


def capacity_of(settings: Settings, cores: int) -> Capacity:
    """Return what the fleet may take of a machine with ``cores`` cores."""
    limits = settings.limits
    return Capacity(limits.max_workers, limits.max_workers_per_core, cores, limits.min_free_memory)


def limits_of(bot: BotSettings, common: Limits) -> Limits:
    """Return the knobs that ``bot`` is judged by: its own where it has any, else ``common``."""
    own = {
        "worker_timeout_s": bot.limits.worker_timeout,
        "memory_bytes": bot.limits.memory,
        "cooldown_s": bot.restart.cooldown,
        "budget": bot.restart.budget,
        "window_s": bot.restart.window,
        "idle_timeout_s": bot.idle_timeout,
    }
    overrides: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    return replace(common, **overrides) if overrides else common


def build_boot(
    settings: Settings,
    bot: BotSettings,
    generation: Generation,
    *,
    instance: str,
    identity: bytes,
    environ: Mapping[str, str],
    memory_cap_bytes: int,
    uid: int | None,
) -> Boot:
    """Return the first message of a worker's pipe.

    Args:
        settings: the whole configuration.
        bot: the bot's part of it.
        generation: which of the bot's processes this is.
        instance: names the state directory.
        identity: what getMe returned, as JSON.
        environ: the master's environment.
        memory_cap_bytes: private memory the bot may use.
        uid: who the process becomes; None: stays who the master is.
    """
    marker = str(Marker(instance, bot.id, generation))
    return Boot(
        protocol=PROTOCOL_VERSION,
        bot_id=bot.id,
        generation=generation,
        master_pid=os.getpid(),
        token=bot.token.get_secret_value(),
        base_url=settings.telegram.base_url,
        identity=identity,
        kind=bot.kind,
        entry=bot.entry,
        args=list(bot.args),
        cwd=str(bot.cwd),
        project_root=str(settings.project_root),
        environment={**bot_environment(bot, environ), MARKER_VARIABLE: marker},
        settings=bot.settings,
        log_path=str(settings.logs_dir / f"worker_{bot.id}.log"),
        log_max_bytes=settings.log.rotate_size,
        marker=marker,
        heartbeat_interval_s=settings.heartbeat.interval,
        memory_cap_bytes=memory_cap_bytes,
        uid=uid,
        gid=uid,
    )
