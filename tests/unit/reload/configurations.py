"""Configurations to get from one to another."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from brama.config.settings import BotSettings, Settings
from brama.ids import BotId, TelegramId

ROOT = Path("/srv/bots")


def bot(bot_id: str, number: int = 1, **keys: Any) -> BotSettings:
    """Return a bot's entry."""
    plain: dict[str, Any] = {
        "id": BotId(bot_id),
        "token": SecretStr(f"{1000 + number}:AA" + "test" * 8),
        "telegram_id": TelegramId(1000 + number),
        "script": ROOT / f"{bot_id}.py",
        "cwd": ROOT,
    }
    return BotSettings(**plain | keys)


def settings(*bots: BotSettings, **sections: Any) -> Settings:
    """Return a configuration."""
    plain: dict[str, Any] = {
        "config_path": ROOT / "brama.yaml",
        "project_root": ROOT,
        "state_dir": ROOT / "state",
        "logs_dir": ROOT / "logs",
    }
    return Settings(bots=bots, **plain | sections)
