"""Warns of configurations that are allowed and that an operator may not have meant."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from brama.config.hosts import is_loopback
from brama.config.job_checks import job_warnings
from brama.config.settings import BotSettings, Settings
from brama.config.values import format_duration
from brama.config.webhook_faults import webhook_user
from brama.config.webhook_warnings import LONG_KEY_CHARACTERS, webhook_warnings


def warnings(settings: Settings) -> list[str]:
    """Return one line for each thing worth a second look; none of them keeps the fleet from starting."""
    enabled = [bot for bot in settings.bots if bot.enabled]
    is_webhook_used = webhook_user(enabled, settings.mode, settings.bots_source.url) is not None
    return [
        *settings.notices,
        *_fleet_warnings(settings, enabled),
        *_api_warnings(settings),
        *_source_warnings(settings),
        *(webhook_warnings(settings.webhook) if is_webhook_used else ()),
        *(job_warnings(settings) if settings.jobs.enabled else ()),
        *_timing_warnings(settings),
        *_shared_script_warnings(enabled),
        *_token_env_warnings(enabled),
    ]


def _fleet_warnings(settings: Settings, bots: Sequence[BotSettings]) -> Iterator[str]:
    enabled = len(bots)
    if not enabled and settings.bots_source.url is None and not settings.jobs.only:
        yield "bots: no bot is enabled; there is nothing to run"
    cores = os.cpu_count() or 1
    limits = settings.limits
    ceiling = min(limits.max_workers, cores * limits.max_workers_per_core)
    sleepers = sum(bot.idle_timeout is not None for bot in bots)
    # One place is enough for bots that give it up to one another.
    if ceiling < enabled - sleepers + bool(sleepers):
        key = "max_workers" if limits.max_workers <= ceiling else f"max_workers_per_core (with {cores} cores)"
        yield f"limits.{key} allows {ceiling} bots at a time and {enabled} are enabled; the rest will wait"
    if settings.isolation.uids is None and enabled > 1:
        yield (
            f"isolation.uids is not set: all bots run as uid {os.geteuid()} and can read each other's files; "
            "that guards against accidents, not against malice"
        )


def _api_warnings(settings: Settings) -> Iterator[str]:
    token = settings.api.token
    if token is not None and len(token.get_secret_value()) < LONG_KEY_CHARACTERS:
        yield f"api.token is shorter than {LONG_KEY_CHARACTERS} characters and can be guessed"
    base = urlsplit(settings.telegram.base_url)
    if base.scheme == "http" and not is_loopback(base.hostname or ""):
        yield f"telegram.base_url: tokens and messages travel to {base.hostname} unencrypted; use https"


def _source_warnings(settings: Settings) -> Iterator[str]:
    address = urlsplit(settings.bots_source.url or "")
    if address.scheme == "http" and not is_loopback(address.hostname or ""):
        yield f"bots_source.url: tokens of bots travel from {address.hostname} unencrypted; use https"


def _timing_warnings(settings: Settings) -> Iterator[str]:
    interval_s = settings.heartbeat.interval
    named = [("limits.worker_timeout", settings.limits.worker_timeout)]
    named += [
        (f"{bot.id}: limits.worker_timeout", bot.limits.worker_timeout)
        for bot in settings.bots
        if bot.limits.worker_timeout is not None
    ]
    for name, timeout_s in named:
        if timeout_s < 2 * interval_s:
            yield (
                f"{name} of {format_duration(timeout_s)} is less than two heartbeats "
                f"({format_duration(interval_s)}): one late heartbeat ends a bot"
            )


def _shared_script_warnings(bots: list[BotSettings]) -> Iterator[str]:
    shared = defaultdict(list)
    for bot in bots:
        if bot.script is not None:
            shared[bot.script, bot.cwd].append(bot.id)
    for (script, cwd), ids in shared.items():
        if len(ids) > 1:
            yield (
                f"{_join(ids)} run one script ({script}) in one working directory: "
                f"files they write in {cwd} are the same; give each a cwd"
            )


def _token_env_warnings(bots: list[BotSettings]) -> Iterator[str]:
    for bot in bots:
        if bot.token_env is not None and bot.token_env in bot.env:
            yield f"{bot.id}: env sets {bot.token_env}, which token_env overrides; keep one of the two"


def _join(ids: Sequence[str]) -> str:
    """Return ids as words: all of a few, the first of many."""
    if len(ids) <= 3:
        return ", ".join(ids[:-1]) + " and " + ids[-1]
    return f"{', '.join(ids[:3])} and {len(ids) - 3} more"
