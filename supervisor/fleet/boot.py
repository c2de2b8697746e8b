"""Makes up what a new worker is told it is.

Runs in: master.
"""

import os
from collections.abc import Mapping

from brama.config.environment import bot_environment
from brama.config.settings import BotSettings, Settings
from brama.ids import Generation
from brama.marks import MARKER_VARIABLE, Marker
from brama.messages import PROTOCOL_VERSION, Boot
from supervisor.fleet.policy.model import Limits


def limits_of(settings: Settings, bot: BotSettings) -> Limits:
    """Return the knobs that ``bot`` is judged by: its own where it has any, else the fleet's."""

    def own(value: float | None, common: float) -> float:
        return common if value is None else value

    return Limits(
        start_timeout_s=settings.limits.start_timeout,
        worker_timeout_s=own(bot.limits.worker_timeout, settings.limits.worker_timeout),
        stop_timeout_s=settings.stop.timeout,
        cooldown_s=own(bot.restart.cooldown, settings.restart.cooldown),
        budget=settings.restart.budget if bot.restart.budget is None else bot.restart.budget,
        window_s=own(bot.restart.window, settings.restart.window),
        memory_bytes=settings.limits.memory_per_worker if bot.limits.memory is None else bot.limits.memory,
    )


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
