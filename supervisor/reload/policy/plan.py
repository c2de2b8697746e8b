"""Decides what a new configuration touches: which bots, which knobs, and what must wait for the next start.

Pure. The rule is that only what differs is touched. What a process is told once, at its boot, costs a new
process; everything else of a bot is taken in live.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from brama.config.settings import BotSettings, Settings
from brama.ids import BotId


class Action(StrEnum):
    """What becomes of a bot."""

    #: It is new.
    ADD = "add"
    #: It is no longer configured: it drains and stops, what waits for it is kept.
    REMOVE = "remove"
    #: Its name has the token of another bot of Telegram: as REMOVE, then ADD.
    REPLACE = "replace"
    #: What its process was told at boot has changed.
    RESTART = "restart"
    #: ``enabled`` became true.
    ENABLE = "enable"
    #: ``enabled`` became false.
    DISABLE = "disable"
    #: What has changed is taken in by the running process, or by its intake.
    UPDATE = "update"


#: Keys of a bot that its process is told at boot.
BOOT_KEYS = frozenset({"token", "script", "app", "args", "cwd", "env", "token_env"})
#: Keys of a bot that change nothing by themselves: derived from others, or of no effect on one that runs.
_DERIVED = frozenset({"id", "telegram_id", "withheld", "origin"})

#: Keys that count from the next start of the supervisor on: they say where things are, or are used once.
PINNED: dict[str, frozenset[str] | None] = {
    "state_dir": None,
    "logs_dir": None,
    "telegram": None,
    "dedup": None,
    "api": None,
    "redis": None,
    "jobs": None,
    "zygote": None,
    "isolation": None,
    "log": None,
    "delivery": frozenset({"durability"}),
    "webhook": frozenset({"port", "listen"}),
}
_NO_SETTINGS = frozenset({"config_path", "project_root", "withheld", "notices", "bots"})
#: Having TLS or not is decided at the start; which files is not.
_TLS_KEYS = ("ssl_cert", "ssl_key")


@dataclass(frozen=True, slots=True)
class BotChange:
    """One bot that is touched, and the keys of its entry that differ."""

    bot_id: BotId
    action: Action
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How to get from one configuration to another.

    Attributes:
        bots: those that are touched, in the order of the new configuration, removed ones last.
        applied: keys outside of bots that are taken into use at once.
        waiting: keys that count from the next start of the supervisor on.
        settings: the new configuration, with the old values of what is waiting.
    """

    bots: tuple[BotChange, ...]
    applied: tuple[str, ...]
    waiting: tuple[str, ...]
    settings: Settings

    @property
    def renewed(self) -> frozenset[BotId]:
        """Bots whose processes are of the past."""
        return frozenset(change.bot_id for change in self.bots if BOOT_KEYS.intersection(change.keys))


def make_plan(old: Settings, new: Settings) -> Plan:
    """Return what leads from ``old``, which runs, to ``new``."""
    applied: list[str] = []
    waiting: list[str] = []
    kept: dict[str, Any] = {}
    has_webhook = needs_webhook(old) and needs_webhook(new)
    for section in Settings.model_fields:
        if section in _NO_SETTINGS:
            continue
        before, after = getattr(old, section), getattr(new, section)
        if not isinstance(before, BaseModel):
            if before != after:
                (waiting if section in PINNED else applied).append(section)
                kept |= {section: before} if section in PINNED else {}
            continue
        pinned = _pinned_keys(section, before, after, has_webhook=has_webhook)
        differing = _differing(before, after)
        applied += [f"{section}.{key}" for key in differing if key not in pinned]
        waiting += [f"{section}.{key}" for key in differing if key in pinned]
        kept[section] = after.model_copy(update={key: getattr(before, key) for key in pinned})
    return Plan(
        bots=tuple(_bot_changes(old, new)),
        applied=tuple(applied),
        waiting=tuple(waiting),
        settings=new.model_copy(update=kept),
    )


def needs_webhook(settings: Settings) -> bool:
    """Return whether the webhook server runs under ``settings``."""
    return any(bot.mode == "webhook" for bot in settings.bots)


def _pinned_keys(section: str, before: BaseModel, after: BaseModel, *, has_webhook: bool) -> frozenset[str]:
    if section not in PINNED or (section == "webhook" and not has_webhook):
        return frozenset()
    keys = PINNED[section]
    if keys is None:
        return frozenset(type(before).model_fields)
    if section == "webhook" and any(
        (getattr(before, k) is None) != (getattr(after, k) is None) for k in _TLS_KEYS
    ):
        return (
            keys | set(_TLS_KEYS) | {"host", "certificate"}
        )  # which tell Telegram that there is TLS, or not
    return keys


def _bot_changes(old: Settings, new: Settings) -> Iterator[BotChange]:
    before = {bot.id: bot for bot in old.bots}
    after = {bot.id for bot in new.bots}
    for bot in new.bots:
        if bot.id not in before:
            yield BotChange(bot.id, Action.ADD)
        elif keys := tuple(key for key in _differing(before[bot.id], bot) if key not in _DERIVED):
            yield BotChange(bot.id, _action(before[bot.id], bot, keys), keys)
    for bot in old.bots:
        if bot.id not in after:
            yield BotChange(bot.id, Action.REMOVE)


def _action(before: BotSettings, after: BotSettings, keys: tuple[str, ...]) -> Action:
    if before.telegram_id != after.telegram_id:
        return Action.REPLACE
    if before.enabled != after.enabled:
        return Action.ENABLE if after.enabled else Action.DISABLE
    if after.enabled and BOOT_KEYS.intersection(keys):
        return Action.RESTART
    return Action.UPDATE


def _differing(before: BaseModel, after: BaseModel) -> list[str]:
    """Return the keys whose values differ, in the order of the model."""
    fields = type(before).model_fields
    return [key for key in fields if getattr(before, key) != getattr(after, key)]
