"""Which bots there are, and what is left of those that are not."""

import asyncio
from dataclasses import dataclass, field

import pytest

from brama.errors import BramaError
from brama.ids import BotId, TelegramId
from supervisor.roster import Orphan, Roster
from supervisor.updates.model import Source, Tally
from tests.unit.reload.configurations import bot, settings

BASE_URL = "https://api.telegram.org"
SHOP_SOURCE = Source(TelegramId(1001), BASE_URL)


@dataclass
class Notes:
    """Router, intake and ledger in one, and what they were told."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    memory: dict[str, bytes] = field(default_factory=dict)
    kept: dict[Source, Tally] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def add_bot(self, bot_id, source):
        self.told.append(("add", bot_id, source.telegram_id))

    def remove_bot(self, bot_id):
        self.told.append(("remove", bot_id))

    def put(self, entry, configuration):
        self.told.append(("put", entry.id))

    def drop(self, bot_id):
        self.told.append(("drop", bot_id))

    async def remember(self, key, value):
        self.memory[key] = value

    def recall(self, prefix):
        return {key: value for key, value in self.memory.items() if key.startswith(prefix)}

    def tallies(self):
        return self.kept

    async def abandon(self, source):
        gone = self.kept.pop(source)
        return gone.waiting + gone.dead_letters

    def roster(self) -> Roster:
        return Roster(self, self, self, lambda work: self.tasks.append(asyncio.ensure_future(work)))


def tally(*, waiting: int = 0, dead_letters: int = 0) -> Tally:
    return Tally(9, 0, 0, dead_letters, 0, waiting, 0)


async def test_everybody_is_told_of_bots_that_come_change_and_go():
    notes = Notes()
    roster = notes.roster()
    roster.enter(bot("shop"), settings())
    roster.enter(bot("shop", mode="webhook"), settings())
    roster.leave(BotId("shop"))
    assert notes.told == [
        ("add", "shop", 1001),
        ("put", "shop"),
        ("put", "shop"),
        ("drop", "shop"),
        ("remove", "shop"),
    ]
    assert roster.sources == {}


async def test_what_waits_for_a_removed_bot_is_shown_under_its_last_name_until_it_returns():
    notes = Notes(kept={SHOP_SOURCE: tally(waiting=2, dead_letters=1)})
    roster = notes.roster()
    assert roster.orphans() == (Orphan(None, TelegramId(1001), 2, 1),)
    roster.enter(bot("shop"), settings())
    assert roster.orphans() == ()
    await asyncio.gather(*notes.tasks)
    roster.leave(BotId("shop"))
    assert roster.orphans() == (Orphan(BotId("shop"), TelegramId(1001), 2, 1),)
    assert notes.roster().orphans() == (Orphan(BotId("shop"), TelegramId(1001), 2, 1),)


async def test_a_name_is_written_down_when_it_changes_only():
    notes = Notes()
    for name in ("shop", "shop", "store"):
        notes.roster().enter(bot(name), settings())
        await asyncio.gather(*notes.tasks)
    assert len(notes.tasks) == 2
    assert list(notes.memory.values()) == [b"store"]


async def test_a_bot_of_which_nothing_is_kept_is_no_orphan():
    assert Notes(kept={SHOP_SOURCE: tally()}).roster().orphans() == ()


async def test_orphans_are_dropped_and_configured_bots_are_not():
    notes = Notes(kept={SHOP_SOURCE: tally(waiting=2, dead_letters=1)})
    roster = notes.roster()
    roster.enter(bot("shop"), settings())
    with pytest.raises(BramaError, match='1001 is configured as "shop"; nothing was dropped'):
        await roster.drop_orphan(TelegramId(1001))
    roster.leave(BotId("shop"))
    assert await roster.drop_orphan(TelegramId(1001)) == 3
    with pytest.raises(BramaError, match="nothing is kept of a bot 1001"):
        await roster.drop_orphan(TelegramId(1001))
    await asyncio.gather(*notes.tasks)
