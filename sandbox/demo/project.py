"""Writes a project as an operator would have one: a configuration, a ``.env``, three bots."""

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BOTS = Path(__file__).parent / "bots"

_HEAD = """\
telegram: {{base_url: {base_url}}}
api: {{port: {api_port}}}
bots:
"""
_BOT = """\
  - id: {name}
    token: ${{{variable}}}
    token_env: BOT_TOKEN
    script: bots/{name}.py
"""


@dataclass(frozen=True, slots=True)
class SampleBot:
    """One of the demo's bots: its script's name, and the number Telegram would know it by."""

    name: str
    number: int

    @property
    def title(self) -> str:
        """What people see."""
        return self.name.capitalize()


SAMPLE_BOTS: Sequence[SampleBot] = (
    SampleBot("greeter", 110_001),
    SampleBot("pizza", 110_002),
    SampleBot("reminder", 110_003),
)


@dataclass(frozen=True, slots=True)
class DemoProject:
    """A project that was written; ``tokens`` are by bot name and good for the sandbox alone."""

    root: Path
    config: Path
    tokens: dict[str, str]


def write_project(root: Path, base_url: str, api_port: int) -> DemoProject:
    """Write the demo's project into the empty folder ``root``.

    Args:
        root: the project's folder.
        base_url: the sandbox's address.
        api_port: a free port for the supervisor's API.
    """
    tokens = {bot.name: f"{bot.number}:{secrets.token_urlsafe(27)[:35]}" for bot in SAMPLE_BOTS}
    (root / "bots").mkdir()
    for bot in SAMPLE_BOTS:
        shutil.copy(_BOTS / f"{bot.name}.py", root / "bots")
    dotenv = root / ".env"
    dotenv.touch(mode=0o600)
    dotenv.write_text("".join(f"{_variable(bot)}={tokens[bot.name]}\n" for bot in SAMPLE_BOTS))
    config = root / "brama.yaml"
    config.write_text(
        _HEAD.format(base_url=base_url, api_port=api_port)
        + "".join(_BOT.format(name=bot.name, variable=_variable(bot)) for bot in SAMPLE_BOTS)
    )
    return DemoProject(root, config, tokens)


def _variable(bot: SampleBot) -> str:
    return f"{bot.name.upper()}_TOKEN"
