"""A project folder with a configuration, for the tests of this package."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from brama.config.loading import load_settings
from brama.config.settings import Settings
from brama.errors import ConfigError


def made_up_token(number: int) -> str:
    """Return a token that no bot has."""
    return f"{1000 + number}:" + "AA" + "testtoken" * 4


class Project:
    """Writes files below ``root`` and loads the configuration there, with nothing of the real environment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / "config" / "brama.yaml"
        self.write("bots/shop.py", "")
        self.environ: dict[str, str] = {"SHOP_BOT_TOKEN": made_up_token(1)}

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        path.chmod(mode)
        return path

    def load(self, text: str, environ: Mapping[str, str] | None = None) -> Settings:
        self.write("config/brama.yaml", text)
        return load_settings(self.config_path, {**self.environ, **(environ or {})})

    def problems(self, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        """Return the report's lines, the configuration's path cut to its name."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, environ)
        report = str(caught.value).replace(f"{self.root}/", "")
        return [line.removeprefix("config/") for line in report.splitlines()]
