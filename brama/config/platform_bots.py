"""Adds the bots that the platform lists to those of the file.

The file wins: an entry of the platform for a bot that the file has is left out. An answer that is wrong in
any place is refused as a whole, so that a mistake of the platform stops no bot.

Runs in: master, command line.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from brama.config.bots import BotDefaults, BotResolver, read_entries
from brama.config.consistency import find_uid_shortage
from brama.config.environment import withhold
from brama.config.paths import display_name, say_open
from brama.config.platform_models import PlatformAnswer, PlatformBot
from brama.config.readers import describe
from brama.config.report import Report, spell
from brama.config.settings import BotSettings, Settings
from brama.config.validation import nearest
from brama.config.webhook_faults import find_webhook_faults, webhook_user
from brama.ids import telegram_id_of

#: What an answer is called in the lines about it.
NAME = "bots_source"
#: More levels than any setting needs.
_MAX_DEPTH = 50
#: One more than the largest number that a message to a worker carries.
_MAX_NUMBER = 2**63


def with_platform_bots(
    settings: Settings, answer: Any, environ: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return ``settings`` with the bots of ``answer`` after the file's, and lines worth a second look.

    Args:
        settings: the configuration; bots that the platform listed earlier are dropped.
        answer: the platform's, parsed from JSON; it stays as it is.
        environ: the master's environment.

    Raises:
        ConfigError: something is wrong; the text has one line for each problem, without any secret.
    """
    report = Report(NAME)
    own = [bot for bot in settings.bots if bot.origin == "file"]
    defaults = BotDefaults(settings.mode, settings.idle_timeout, settings.idle_unsafe)
    resolver = BotResolver(
        settings.project_root, defaults, settings.heartbeat.interval, report, origin="platform"
    )
    bots, warnings = _resolve(_take_bots(answer, report), own, display_name(settings.config_path), resolver)
    _check_webhook(bots, own, settings, report)
    if shortage := find_uid_shortage(settings.isolation.uids, len(own) + len(bots)):
        report.add((), f"isolation.uids {shortage} in {display_name(settings.config_path)}")
    report.raise_if_any()
    warnings += [say_open(path) for path in resolver.open_files]
    together = withhold([*own, *bots.values()], settings.withheld, environ)
    return settings.model_copy(update={"bots": together}), warnings


def _take_bots(answer: Any, report: Report) -> list[Any]:
    """Return the entries of ``answer``; one that cannot be read is reported and None."""
    if not isinstance(answer, dict):
        report.add((), f'must be {{"bots": [...]}}, not {describe(answer)}')
        return []
    for key in answer:
        if key not in PlatformAnswer.model_fields:
            report.add((key,), "is not known" + nearest(key, list(PlatformAnswer.model_fields)))
    entries = answer.get("bots")
    if not isinstance(entries, list):
        missing = 'is missing; write {"bots": []} if there are none'
        wrong = f"must be a list of bots, not {describe(entries)}"
        report.add(("bots",), missing if entries is None else wrong)
        return []
    for index, entry in enumerate(entries):
        if fault := _find_value_fault(entry, _MAX_DEPTH):
            report.add_broken(("bots", index), fault)
    return [None if ("bots", index) in report.broken else entry for index, entry in enumerate(entries)]


def _find_value_fault(value: Any, depth: int) -> str | None:
    """Return why ``value`` can be handed to no bot, None if nothing in it forbids that."""
    parts: Iterable[Any]
    match value:
        case dict():
            parts = value.values()
        case list():
            parts = value
        case int() if not -_MAX_NUMBER <= value < _MAX_NUMBER:
            return "holds a number of more than 64 bits; write it as text"
        case _:
            return None
    if not depth:
        return "is nested too deeply"
    return next(filter(None, (_find_value_fault(part, depth - 1) for part in parts)), None)


def _resolve(
    entries: list[Any], own: list[BotSettings], file: str, resolver: BotResolver
) -> tuple[dict[int, BotSettings], list[str]]:
    """Return the platform's bots by index, and a line for each that is left out for one of the file's."""
    ids = {bot.id for bot in own}
    names = {bot.telegram_id: bot.id for bot in own if bot.telegram_id}
    bots: dict[int, BotSettings] = {}
    left_out = []
    for index, entry in read_entries(entries, resolver.report, PlatformBot):
        token = resolver.claim(index, entry)
        telegram_id = telegram_id_of(token) if token else None
        if entry.id in ids:
            left_out.append((index, entry.id, f"{file} has a bot of this id, which wins"))
        elif telegram_id in names:
            same = f'the same bot of Telegram ({telegram_id}) as "{names[telegram_id]}"'
            left_out.append((index, entry.id, f"it is {same} of {file}, which wins"))
        else:
            bots[index] = resolver.resolve(index, entry, token)
    return bots, [f'{NAME}: bots[{index}]: "{name}" is left out: {why}' for index, name, why in left_out]


def _check_webhook(
    bots: dict[int, BotSettings], own: list[BotSettings], settings: Settings, report: Report
) -> None:
    """Report what the first bot in mode webhook lacks; if the file has one too, loading has looked."""
    if webhook_user(own, settings.mode, settings.bots_source.url):
        return
    for index, bot in bots.items():
        if user := webhook_user([bot], "polling", None):
            faults = find_webhook_faults(
                settings.webhook, settings.telegram.base_url, settings.project_root, user
            )
            file = display_name(settings.config_path)
            for location, text in faults:
                report.add(("bots", index, "mode"), f"webhook cannot work: {file}: {spell(location)}: {text}")
            return
