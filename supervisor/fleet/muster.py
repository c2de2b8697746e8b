"""Keeps the list of the fleet's bots: who is on it, on whose wish, and who leaves it.

Runs in: master.
"""

from collections.abc import Collection, Iterator, Mapping

from brama.config.settings import BotSettings, Settings
from brama.ids import BotId
from supervisor.fleet.boot import common_limits, limits_of
from supervisor.fleet.member import Member
from supervisor.fleet.policy import events, reasons
from supervisor.fleet.policy.events import Event
from supervisor.fleet.policy.model import Phase, Wanted, Worker
from supervisor.fleet.ports import Roll

Told = tuple[Member, Event]


class Muster:
    """All bots of one master, in the order of the configuration; those that leave stand at the end.

    Args:
        settings: the configuration to begin with.
        overrides: what operators want of bots, where that differs from the configuration.
        roll: told of every bot that comes or goes.
    """

    def __init__(self, settings: Settings, overrides: Mapping[BotId, Wanted], roll: Roll) -> None:
        self._settings = settings
        self._overrides = dict(overrides)
        self._roll = roll
        self.members: dict[BotId, Member] = {}
        #: Overrides that came or went (None) and are not on disk yet.
        self.unsaved: dict[BotId, Wanted | None] = {}
        self.uids: Mapping[BotId, int] = {}
        #: Bots whose name, or whose bot of Telegram, a leaving one still has.
        self._waiting: list[BotSettings] = []
        for bot in settings.bots:
            self._enlist(bot)

    def reconfigure(self, settings: Settings, renewed: Collection[BotId]) -> Iterator[Told]:
        """Become what ``settings`` say; yield what each bot is to be told, in order.

        A bot that goes leaves the list when its process is gone. Until then nobody takes its name, and no
        process is started for the same bot of Telegram under another.

        Args:
            settings: the new configuration.
            renewed: bots whose processes are of the past, because what they are told at boot has changed.
        """
        self._settings = settings
        wanted = {bot.id: bot for bot in settings.bots}
        self._waiting = [
            bot
            for bot in settings.bots
            if (present := self.members.get(bot.id)) is None
            or present.is_leaving
            or _is_another(present.settings, bot)
        ]
        waiting = {bot.id for bot in self._waiting}
        going = [
            member
            for bot_id, member in self.members.items()
            if not member.is_leaving and (bot_id not in wanted or bot_id in waiting)
        ]
        for member in going:  # all before the first is told: one may be gone at once, and make room
            member.is_leaving = True
        for member in going:
            yield member, events.Disabled(reasons.REMOVED)
        for bot in settings.bots:
            if bot.id not in waiting:
                yield from self._reenter(self.members[bot.id], bot, is_renewed=bot.id in renewed)
        yield from self._admit()
        for bot_id in [*wanted, *(bot_id for bot_id in self.members if bot_id not in wanted)]:
            if bot_id in self.members:
                self.members[bot_id] = self.members.pop(bot_id)

    def departed(self, member: Member) -> Iterator[Told]:
        """Take a leaving bot off the list if nothing of it is left; who waited for that takes its place."""
        bot_id = member.settings.id
        if not member.is_leaving or member.worker.phase is not Phase.STOPPED:
            return
        if self.members.get(bot_id) is member:
            del self.members[bot_id]
            self._roll.leave(bot_id)
        yield from self._admit()

    def admit_nobody(self) -> None:
        """The fleet stops: who waits for a place gets none."""
        self._waiting = []

    def override(self, bot_id: BotId, wanted: Wanted) -> None:
        """Note what an operator wants; an override lasts until he and the configuration agree."""
        if wanted is not _configured(self.members[bot_id].settings):
            self._overrides[bot_id] = self.unsaved[bot_id] = wanted
        elif self._overrides.pop(bot_id, None) is not None:
            self.unsaved[bot_id] = None

    # --- inside ---------------------------------------------------------------------------------

    def _admit(self) -> Iterator[Told]:
        """Enlist who waits and is in nobody's way any more."""
        leaving = [member.settings for member in self.members.values() if member.is_leaving]
        names = {bot.id for bot in leaving}
        numbers = {bot.telegram_id for bot in leaving if bot.telegram_id}
        free = [bot for bot in self._waiting if bot.id not in names and bot.telegram_id not in numbers]
        self._waiting = [bot for bot in self._waiting if bot not in free] if leaving else []
        for bot in free:
            yield self._enlist(bot), events.MasterStarted()

    def _enlist(self, bot: BotSettings) -> Member:
        wanted = self._overrides.get(bot.id, _configured(bot))
        if bot.id in self._overrides and wanted is _configured(bot):
            del self._overrides[bot.id]
            self.unsaved[bot.id] = None
        because = reasons.DISABLED if not bot.enabled else reasons.STOPPED_BY_COMMAND
        limits = limits_of(bot, common_limits(self._settings))
        worker = Worker(wanted=wanted, unwanted_because=because)
        member = Member(bot, limits, worker, uid=self.uids.get(bot.id))
        self.members[bot.id] = member
        self._roll.enter(bot, self._settings)
        return member

    def _reenter(self, member: Member, bot: BotSettings, *, is_renewed: bool) -> Iterator[Told]:
        before, member.settings = member.settings, bot
        self._roll.enter(bot, self._settings)
        if (limits := limits_of(bot, common_limits(self._settings))) != member.limits:
            member.limits = limits
            yield member, events.LimitsChanged()
        if before.enabled != bot.enabled:
            # What was commanded against the old value is what the new one says.
            if self._overrides.pop(bot.id, None) is not None:
                self.unsaved[bot.id] = None
            yield member, events.Enabled() if bot.enabled else events.Disabled(reasons.DISABLED)
        if is_renewed:
            yield member, events.EntryChanged()


def _configured(bot: BotSettings) -> Wanted:
    return Wanted.RUNNING if bot.enabled else Wanted.STOPPED


def _is_another(old: BotSettings, new: BotSettings) -> bool:
    """Return whether the name belongs to another bot of Telegram's now."""
    return old.telegram_id != new.telegram_id
