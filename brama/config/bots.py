"""Turns bots as written into bots as used.

Paths become absolute, token and environment files are read, entry points are looked for.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from brama.config.dotenv import read_dotenv
from brama.config.entry_points import find_app_fault, find_script_fault
from brama.config.models import BotSection, Mode
from brama.config.paths import absolute, is_open_to_all
from brama.config.readers import describe
from brama.config.report import Report
from brama.config.settings import BotSettings
from brama.config.validation import nearest, validate
from brama.errors import ConfigError
from brama.ids import BotId, TelegramId, telegram_id_of
from brama.update_kinds import UPDATE_KINDS

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
#: Ids that the command line and the log files need for themselves.
RESERVED_IDS = frozenset({"master", "zygote"})
_TOKEN = re.compile(r"[0-9]{1,19}:[A-Za-z0-9_-]{30,}")
_MAX_TOKEN_FILE_BYTES = 4096
_NOT_A_TOKEN = "is not a bot token (not shown here); it looks like 123456789:AAE... as @BotFather gave it"
_NO_TOKEN = {
    "file": "is missing; write token: ${NAME} or token_file: PATH",
    "platform": "is missing; give the bot its token, or a token_file of this machine",
}


@dataclass(frozen=True, slots=True)
class BotDefaults:
    """The fleet's keys that a bot may have itself."""

    mode: Mode
    idle_timeout: float
    idle_unsafe: bool


@dataclass(slots=True)
class BotResolver:
    """Resolves bots one by one and remembers what must be unique among them."""

    project_root: Path
    #: The fleet's, for bots without their own.
    defaults: BotDefaults
    #: Time between two heartbeats, in seconds.
    heartbeat_s: float
    report: Report
    #: Where the bots are listed.
    origin: Literal["file", "platform"] = "file"
    #: Files that hold a secret and can be read by everybody.
    open_files: list[Path] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)
    _sources: dict[TelegramId, tuple[int, str]] = field(default_factory=dict)
    _modules: dict[str, str | None] = field(default_factory=dict)

    def claim(self, index: int, bot: BotSection) -> str:
        """Return the token of bot number ``index``, empty without one; no other may have it or its id."""
        self._check_id(index, bot.id)
        return self._token(index, bot)

    def resolve(self, index: int, bot: BotSection, token: str) -> BotSettings:
        """Return bot number ``index`` as it will be used; what is wrong goes to the report."""
        where = ("bots", index)
        script = self._path(bot.script)
        self._check_entry(index, bot, script)
        cwd = self._path(bot.cwd) or (script.parent if script and not bot.app else self.project_root)
        if bot.enabled and bot.cwd and not cwd.is_dir():
            self.report.add((*where, "cwd"), f"{cwd} is no folder; relative paths start at the project root")
        self._check_limits(index, bot)
        self._check_kinds(index, bot.allowed_updates or ())
        idle_timeout = self.defaults.idle_timeout
        return BotSettings(
            id=BotId(bot.id),
            token=SecretStr(token),
            telegram_id=telegram_id_of(token) if token else TelegramId(0),
            script=script,
            app=bot.app,
            args=bot.args,
            cwd=cwd,
            env=self._environment_file(index, bot) | bot.env,
            token_env=bot.token_env,
            settings=bot.settings,
            mode=bot.mode or self.defaults.mode,
            enabled=bot.enabled,
            origin=self.origin,
            limits=bot.limits,
            restart=bot.restart,
            allowed_updates=bot.allowed_updates,
            idle_timeout=(idle_timeout if bot.idle_timeout is None else bot.idle_timeout) or None,
            idle_unsafe=self.defaults.idle_unsafe if bot.idle_unsafe is None else bot.idle_unsafe,
        )

    def _path(self, path: Path | None) -> Path | None:
        return absolute(path, self.project_root) if path is not None else None

    def _check_id(self, index: int, bot_id: str) -> None:
        where = ("bots", index, "id")
        if where in self.report.broken:
            return
        if not _ID.fullmatch(bot_id):
            allowed = "1 to 64 of A-Z a-z 0-9 _ . - and not start with . or -"
            self.report.add(where, f'"{bot_id[:80]}" is no id; it must be {allowed}, as it names a log file')
        elif bot_id.lower() in RESERVED_IDS:
            self.report.add(where, f'"{bot_id}" is the supervisor\'s own name; choose another')
        elif bot_id in self._ids:
            self.report.add(
                where, f'"{bot_id}" is already the id of bots[{self._ids[bot_id]}]; choose another'
            )
        else:
            self._ids[bot_id] = index

    def _token(self, index: int, bot: BotSection) -> str:
        """Return the bot's token, empty if there is none or it is reported."""
        where = ("bots", index, "token")
        if bot.token is not None and bot.token_file is not None:
            self.report.add(where, "stands beside token_file; keep one of the two")
            return ""
        token, key = "", "token"
        if bot.token is not None:
            token = bot.token.get_secret_value()
        elif bot.token_file is not None:
            key = "token_file"
            token = self._read_token_file(index, bot.token_file, bot.enabled)
        elif bot.enabled:
            self.report.add(where, _NO_TOKEN[self.origin])
        if not token:
            return ""
        if not _TOKEN.fullmatch(token):
            self.report.add(("bots", index, key), _NOT_A_TOKEN)
            return ""
        telegram_id = telegram_id_of(token)
        if telegram_id in self._sources:
            other, other_token = self._sources[telegram_id]
            same = "is the same token" if token == other_token else f"is of the same bot ({telegram_id})"
            self.report.add(("bots", index, key), f"{same} as that of bots[{other}]; one bot, one entry")
        else:
            self._sources[telegram_id] = (index, token)
        return token

    def _read_token_file(self, index: int, name: Path, enabled: bool) -> str:
        where = ("bots", index, "token_file")
        path = absolute(name, self.project_root)
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_TOKEN_FILE_BYTES + 1)
                if is_open_to_all(os.fstat(file.fileno())):
                    self.open_files.append(path)
        except OSError as error:
            if enabled:
                self.report.add(where, f"{path} cannot be read: {error.strerror}")
            return ""
        token = content.decode("ascii", "replace").strip()
        if not token or len(content) > _MAX_TOKEN_FILE_BYTES:
            self.report.add(where, f"{path} {'is empty' if not token else 'is too large to hold a token'}")
            return ""
        return token

    def _check_entry(self, index: int, bot: BotSection, script: Path | None) -> None:
        where = ("bots", index)
        if script is not None and bot.app is not None:
            self.report.add((*where, "app"), "stands beside script; keep one of the two")
        elif not bot.enabled:
            return
        elif script is not None:
            if fault := find_script_fault(script):
                self.report.add((*where, "script"), fault)
        elif bot.app is not None:
            module = bot.app.partition(":")[0]
            if module not in self._modules:
                self._modules[module] = find_app_fault(bot.app, self.project_root)
            if fault := self._modules[module]:
                self.report.add((*where, "app"), fault)
        elif not self.report.broken & {(*where, "script"), (*where, "app")}:
            self.report.add(where, "neither script nor app says what to run; write script: bots/shop.py")

    def _check_limits(self, index: int, bot: BotSection) -> None:
        timeout_s = bot.limits.worker_timeout
        if timeout_s is not None and timeout_s <= self.heartbeat_s:
            where = ("bots", index, "limits", "worker_timeout")
            self.report.add(where, "must be more than heartbeat.interval, or the bot always counts as hung")

    def _check_kinds(self, index: int, kinds: Sequence[str]) -> None:
        for number, kind in enumerate(kinds):
            if kind not in UPDATE_KINDS:
                known = nearest(kind, list(UPDATE_KINDS))
                where = ("bots", index, "allowed_updates", number)
                self.report.add(where, f'"{kind}" is no kind of update' + known)

    def _environment_file(self, index: int, bot: BotSection) -> dict[str, str]:
        if bot.env_file is None or not bot.enabled:
            return {}
        path = absolute(bot.env_file, self.project_root)
        try:
            return read_dotenv(path)
        except ConfigError as error:
            self.report.add(("bots", index, "env_file"), f"{path}: {error}")
            return {}


def read_entries(
    raw_bots: list[Any], report: Report, model: type[BotSection] = BotSection
) -> Iterator[tuple[int, BotSection]]:
    """Yield each entry of a list of bots that can be made sense of, with its index; the rest is reported."""
    for index, raw in enumerate(raw_bots):
        where = ("bots", index)
        if not isinstance(raw, dict):
            report.add(where, f"must be a mapping that starts with id:, not {describe(raw)}")
            continue
        if raw.get("id") is None:
            report.add_broken((*where, "id"), "is missing; write id: NAME")
            raw = {**raw, "id": "unnamed"}
        section = validate(model, raw, report, where)
        if section is not None:
            yield index, section
