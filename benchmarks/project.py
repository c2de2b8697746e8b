"""A folder with one stock script and the tokens of N bots, which every peer is pointed at."""

from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("echo_bot.py")
FIRST_TELEGRAM_ID = 10_001
CHAT_ID = 7


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot: its number from 0, Telegram's id of it, its token."""

    number: int
    telegram_id: int
    token: str

    @property
    def name(self) -> str:
        """The label under which every peer runs it."""
        return f"bot{self.number:04}"


@dataclass(frozen=True, slots=True)
class Project:
    """Where peers keep their files (``folder``), the Bot API they talk to, the bots they run."""

    folder: Path
    base_url: str
    bots: tuple[Bot, ...]
    script: Path = SCRIPT


def make_bots(count: int) -> tuple[Bot, ...]:
    """Return ``count`` bots with tokens made up for the sandbox."""
    ids = range(FIRST_TELEGRAM_ID, FIRST_TELEGRAM_ID + count)
    return tuple(
        Bot(number, telegram_id, f"{telegram_id}:{'B' * 35}") for number, telegram_id in enumerate(ids)
    )
