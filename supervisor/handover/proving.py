"""The other side of a trial: proves that this code could take over from the master that runs.

Runs in: command line, a child of the master.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from brama.config.loading import load_settings
from brama.config.platform_bots import with_platform_bots
from brama.config.settings import Settings
from brama.errors import StateError
from brama.messages import PROTOCOL_VERSION
from supervisor.control.listeners import bind_tcp
from supervisor.fleet.zygote_client import ZygoteClient
from supervisor.handover.records import FORMAT, Handover, Proof
from supervisor.platform.cache import CACHE_NAME, AnswerCache
from supervisor.updates.inbox.schema import STATE_FILE, check_readable
from supervisor.webhook_server import try_webhook_address


def prove(
    draft: Handover,
    environ: Mapping[str, str],
    version: str,
) -> Proof:
    """Do everything that a take-over needs and that leaves no trace.

    Args:
        draft: what the running master would leave now.
        environ: the environment.
        version: the product's, of this code.

    Raises:
        BramaError: this code cannot take over; the text says why.
    """
    settings = load_settings(Path(draft.config), environ)
    _check_places(draft, settings)
    check_readable(settings.state_dir / STATE_FILE)
    settings = asyncio.run(_prove(settings, environ))
    _try_addresses(draft, settings)
    bots: dict[str, int] = {bot.id: bot.telegram_id for bot in settings.bots}
    return Proof(version, FORMAT, PROTOCOL_VERSION, bots)


def _check_places(draft: Handover, settings: Settings) -> None:
    """Refuse what cannot change under bots that run on."""
    changed = "{}: is {} and was {} when the master started; {}".format
    state_dir, base_url = str(settings.state_dir), settings.telegram.base_url
    if draft.state_dir != state_dir:  # commands look for the running master where the file says
        way_out = "change it back, stop, then change it, move the folder and start"
        raise StateError(changed("state_dir", state_dir, draft.state_dir, way_out))
    if draft.base_url != base_url:
        way_out = "that needs brama-supervisor restart --cold"
        raise StateError(changed("telegram.base_url", base_url, draft.base_url, way_out))


def _try_addresses(draft: Handover, settings: Settings) -> None:
    """Make sure that addresses which are not handed over can be had."""
    api, token = settings.api, settings.api.token
    if (api.host, api.port) != (draft.control.host, draft.control.port):
        bind_tcp(api.host, api.port, None if token is None else token.get_secret_value()).close()
    try_webhook_address(draft.webhook, settings)
    if settings.jobs.enabled:
        from supervisor.job_queue.trial import try_jobs

        try_jobs(draft.jobs, settings)


async def _prove(settings: Settings, environ: Mapping[str, str]) -> Settings:
    if settings.bots_source.url is not None:
        answer = AnswerCache(settings.state_dir / CACHE_NAME, settings.bots_source.url).read()
        if answer is not None:
            settings, _ = with_platform_bots(settings, answer.content, environ)
    zygote = ZygoteClient(settings.zygote.preload, settings.project_root, os.environ)
    try:
        await zygote.wait_warm()
    finally:
        await zygote.aclose()
    return settings
