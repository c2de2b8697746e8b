"""Which bots there are, whose updates are whose, and what is left of bots that are no longer there.

Runs in: master.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from brama.config.settings import BotSettings, Settings
from brama.errors import BramaError
from brama.ids import BotId, TelegramId
from brama.log import get_logger
from supervisor.updates.model import Source, Tally

_LABEL = "label/"
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Orphan:
    """What is kept of a bot that is not configured; ``bot_id`` is the last name it had, None: not known."""

    bot_id: BotId | None
    telegram_id: TelegramId
    inbox: int
    dead_letters: int


class Router(Protocol):
    """Who hands updates to workers."""

    def add_bot(self, bot_id: BotId, source: Source) -> None: ...
    def remove_bot(self, bot_id: BotId) -> None: ...


class Intake(Protocol):
    """Who takes updates in."""

    def put(self, bot: BotSettings, settings: Settings) -> None: ...
    def drop(self, bot_id: BotId) -> None: ...


class Ledger(Protocol):
    """Who keeps updates, and small values beside them."""

    async def remember(self, key: str, value: bytes) -> None: ...
    def recall(self, prefix: str) -> dict[str, bytes]: ...
    def tallies(self) -> dict[Source, Tally]: ...
    async def abandon(self, source: Source) -> int: ...


class Roster:
    """The fleet's ``Roll``.

    Args:
        router: told of every bot that comes or goes.
        intake: told too, and of every change of an entry.
        ledger: the inbox.
        spawn: runs a coroutine in the application's task group.
    """

    def __init__(
        self,
        router: Router,
        intake: Intake,
        ledger: Ledger,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._router = router
        self._intake = intake
        self._ledger = ledger
        self._spawn = spawn
        self._labels = {key: BotId(name.decode()) for key, name in ledger.recall(_LABEL).items()}
        self.sources: dict[BotId, Source] = {}

    def enter(self, bot: BotSettings, settings: Settings) -> None:
        """Put a bot on the roster, or give one that is there its new entry, of the same bot of Telegram."""
        source = Source(bot.telegram_id, settings.telegram.base_url)
        if bot.id not in self.sources:
            self.sources[bot.id] = source
            self._router.add_bot(bot.id, source)
        self._intake.put(bot, settings)
        key = _label_key(source)
        if bot.telegram_id and self._labels.get(key) != bot.id:
            self._labels[key] = bot.id
            self._spawn(self._remember_label(key, bot.id))

    def leave(self, bot_id: BotId) -> None:
        """Take a bot off the roster; what waits for it is kept."""
        self.sources.pop(bot_id, None)
        self._intake.drop(bot_id)
        self._router.remove_bot(bot_id)

    def bot_of(self, source: Source) -> BotId | None:
        """Return the label that a bot of Telegram has now, None if it is not on the roster."""
        return next((bot_id for bot_id, each in self.sources.items() if each == source), None)

    def orphans(self) -> tuple[Orphan, ...]:
        """Return what is kept of bots that are not on the roster."""
        present = set(self.sources.values())
        return tuple(
            Orphan(
                self._labels.get(_label_key(source)), source.telegram_id, tally.waiting, tally.dead_letters
            )
            for source, tally in self._ledger.tallies().items()
            if source not in present and (tally.waiting or tally.dead_letters)
        )

    async def drop_orphan(self, telegram_id: TelegramId) -> int:
        """Purge what is kept of a bot that is not on the roster; return how many updates that were.

        Raises:
            BramaError: the bot is on the roster, nothing is kept of it, or the inbox cannot be written.
        """
        configured = {source: bot_id for bot_id, source in self.sources.items()}
        sources = [source for source in self._ledger.tallies() if source.telegram_id == telegram_id]
        dropped = sum([await self._ledger.abandon(each) for each in sources if each not in configured])
        if not dropped:
            names = [
                f'"{bot_id}"' for source, bot_id in configured.items() if source.telegram_id == telegram_id
            ]
            if names:
                raise BramaError(f"{telegram_id} is configured as {names[0]}; nothing was dropped")
            raise BramaError(f"nothing is kept of a bot {telegram_id} that is not configured")
        log.warning("orphan.dropped", telegram_id=telegram_id, updates=dropped)
        return dropped

    # --- inside ---------------------------------------------------------------------------------

    async def _remember_label(self, key: str, bot_id: BotId) -> None:
        try:
            await self._ledger.remember(key, bot_id.encode())
        except BramaError as error:
            log.warning("roster.label_lost", bot=bot_id, reason=str(error))


def _label_key(source: Source) -> str:
    return f"{_LABEL}{source.telegram_id}@{source.base_url}"
