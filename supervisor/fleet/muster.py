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
        for bot in settings.bots:
            self._enlist(bot)

    def reconfigure(self, settings: Settings, renewed: Collection[BotId]) -> Iterator[Told]:
        """Become what ``settings`` say; yield what each bot is to be told, in order.

        A bot that goes leaves the list when its process is gone. One whose token is another bot's by now goes
        and comes again under the same name.

        Args:
            settings: the new configuration.
            renewed: bots whose processes are of the past, because what they are told at boot has changed.
        """
        self._settings = settings
        wanted = {bot.id: bot for bot in settings.bots}
        for bot_id, member in list(self.members.items()):
            member.successor = None
            if bot_id not in wanted and not member.is_leaving:
                yield self._dismiss(member)
        for bot in settings.bots:
            present = self.members.get(bot.id)
            if present is None:
                yield self._enlist(bot), events.MasterStarted()
            elif present.is_leaving or _is_another(present.settings, bot):
                present.successor = bot
                if not present.is_leaving:
                    yield self._dismiss(present)
            else:
                yield from self._reenter(present, bot, is_renewed=bot.id in renewed)
        for bot_id in [*wanted, *(bot_id for bot_id in self.members if bot_id not in wanted)]:
            self.members[bot_id] = self.members.pop(bot_id)

    def departed(self, member: Member) -> Iterator[Told]:
        """Take a leaving bot off the list if nothing of it is left; its successor takes its place."""
        if not member.is_leaving or member.worker.phase is not Phase.STOPPED:
            return
        bot_id, successor = member.settings.id, member.successor
        self._roll.leave(bot_id)
        if successor is None:
            del self.members[bot_id]
        else:
            yield self._enlist(successor), events.MasterStarted()

    def override(self, bot_id: BotId, wanted: Wanted) -> None:
        """Note what an operator wants; an override lasts until he and the configuration agree."""
        if wanted is not _configured(self.members[bot_id].settings):
            self._overrides[bot_id] = self.unsaved[bot_id] = wanted
        elif self._overrides.pop(bot_id, None) is not None:
            self.unsaved[bot_id] = None

    # --- inside ---------------------------------------------------------------------------------

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

    def _dismiss(self, member: Member) -> Told:
        member.is_leaving = True
        return member, events.Disabled(reasons.REMOVED)

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
