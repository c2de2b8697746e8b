"""Writes a project as an operator would have one: a configuration, a ``.env``, bots, a job."""

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BOTS = Path(__file__).parent / "bots"
#: The module with the oracle's job.
_JOBS = "oracle_jobs"

_HEAD = """\
telegram: {{base_url: {base_url}}}
api: {{port: {api_port}}}
jobs: {{enabled: true, modules: [{jobs}], workers: 1}}
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
    SampleBot("oracle", 110_004),
)


@dataclass(frozen=True, slots=True)
class DemoProject:
    """A project that was written; ``tokens`` are by bot name and good for the sandbox alone."""

    root: Path
    base_url: str
    tokens: dict[str, str]

    @property
    def config(self) -> Path:
        """The configuration, there once it was configured."""
        return self.root / "brama.yaml"

    def configure(self, api_port: int) -> None:
        """Write the configuration, with this port for the supervisor's API."""
        self.config.write_text(
            _HEAD.format(base_url=self.base_url, api_port=api_port, jobs=_JOBS)
            + "".join(_BOT.format(name=bot.name, variable=_variable(bot)) for bot in SAMPLE_BOTS)
        )


def write_project(root: Path, base_url: str) -> DemoProject:
    """Write the demo's bots and their tokens into the empty folder ``root``; they talk to ``base_url``."""
    tokens = {bot.name: f"{bot.number}:{secrets.token_urlsafe(27)[:35]}" for bot in SAMPLE_BOTS}
    (root / "bots").mkdir()
    for bot in SAMPLE_BOTS:
        shutil.copy(_BOTS / f"{bot.name}.py", root / "bots")
    shutil.copy(_BOTS / f"{_JOBS}.py", root)
    dotenv = root / ".env"
    dotenv.touch(mode=0o600)
    dotenv.write_text("".join(f"{_variable(bot)}={tokens[bot.name]}\n" for bot in SAMPLE_BOTS))
    return DemoProject(root, base_url, tokens)


def _variable(bot: SampleBot) -> str:
    return f"{bot.name.upper()}_TOKEN"
