"""Carries bots from one master to the next: what is left of them, and how they are gone on with.

Runs in: master.
"""

from collections.abc import Collection, Mapping, Sequence

from brama.ids import BotId, Generation
from brama.messages import PROTOCOL_VERSION
from supervisor.fleet.crew import Crew
from supervisor.fleet.engine import Engine
from supervisor.fleet.member import Member
from supervisor.fleet.policy import events, reasons
from supervisor.fleet.policy.model import Phase, Wanted
from supervisor.fleet.policy.succession import inherit
from supervisor.fleet.ports import Delivery, Ingress
from supervisor.fleet.records import MemberRecord, draft_record, end_disowned
from supervisor.updates.policy.routing import RouteRecord


class Succession:
    """The bots of one fleet at its beginning, as left by another, and at its end.

    Args:
        members: all bots.
        engine: moves them.
        crew: has their processes.
        delivery: the router.
        ingress: the pollers.
    """

    def __init__(
        self,
        members: Mapping[BotId, Member],
        engine: Engine,
        crew: Crew,
        delivery: Delivery,
        ingress: Ingress,
    ) -> None:
        self._members = members
        self._engine = engine
        self._crew = crew
        self._delivery = delivery
        self._ingress = ingress

    async def take_over(self, records: Sequence[MemberRecord], routes: Mapping[BotId, RouteRecord]) -> None:
        """Go on with the bots that another master has left; those that are not configured are ended.

        Raises:
            CommitFailedError: the inbox cannot be read.
        """
        for record in records:
            bot_id = BotId(record.bot_id)
            member = self._members.get(bot_id)
            if member is None or member.settings.telegram_id != record.telegram_id:
                end_disowned(record)
            else:
                generation = Generation(record.worker.generation)
                await self._delivery.take_over(bot_id, generation, routes.get(bot_id, RouteRecord()))
                self._adopt(member, record)

    def draft(self) -> list[MemberRecord]:
        """Return what ``let_go`` would, without file descriptors."""
        return [draft_record(member) for member in self._members.values()]

    async def retire(self, bot_ids: Collection[BotId]) -> None:
        """End the processes of bots that the next master cannot go on with; their intake goes on."""
        retiring = [self._members[bot_id] for bot_id in bot_ids]
        for member in retiring:
            self._engine.tell(member, events.Retired())
        await self._engine.wait_gone(retiring)

    def let_go(self) -> list[MemberRecord]:
        """Let go of every process without ending it; nothing happens to any bot from now on."""
        self._engine.stop()
        self._crew.let_go()
        records = [self._crew.final_record(member) for member in self._members.values()]
        self._crew.stop_answering()
        return records

    def _adopt(self, member: Member, record: MemberRecord) -> None:
        bot_id, process = member.settings.id, record.process
        member.identity, member.messages, member.errors = record.identity, record.messages, record.errors
        wanted, member.worker = member.worker.wanted, inherit(member.worker, record.worker)
        if process is None:
            return
        member.memory_bytes, member.heartbeat_at = record.memory_bytes, record.heartbeat_at
        if member.worker.ingress_open:
            self._ingress.open(bot_id)
        if record.has_asked:
            member.has_asked, member.allowed_updates = True, record.allowed_updates
            self._ingress.set_allowed_updates(bot_id, record.allowed_updates)
        self._crew.adopt(member, process)
        self._engine.count(member, Phase.STOPPED, member.worker.phase)
        self._engine.arm(member)
        generation = Generation(member.worker.generation)
        self._engine.renewal.add(bot_id, generation)
        if process.protocol != PROTOCOL_VERSION:
            self._engine.tell(
                member, events.LinkBroken(reasons.other_protocol(process.protocol, PROTOCOL_VERSION))
            )
        if member.worker.phase is Phase.SERVE and member.handle is not None:
            self._delivery.worker_ready(bot_id, generation, member.handle.send)
        if wanted is not member.worker.wanted:
            because = member.worker.unwanted_because
            self._engine.tell(
                member, events.Enabled() if wanted is Wanted.RUNNING else events.Disabled(because)
            )
