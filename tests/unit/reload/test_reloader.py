"""One reload at a time, whole or not at all."""

import asyncio

import pytest

from brama.config.models import BotsSourceSection
from brama.errors import BramaError, ConfigError
from supervisor.reload.policy.plan import Action, Plan
from supervisor.reload.reloader import Reloader, Sources
from tests.unit.reload.configurations import bot, settings
from tests.waiting import await_until, loop_turn

PLATFORM = BotsSourceSection(url="https://platform.example/bots")
SHOP, SUPPORT, NEWS = bot("shop"), bot("support", 2), bot("news", 3, origin="platform")


class World:
    """A file that can be written, a platform's bots, and a master that notes what it is made."""

    def __init__(self) -> None:
        self.file = settings(SHOP, bots_source=PLATFORM)
        self.loads = self.refreshed = 0
        self.fault: BramaError | None = None
        self.refusal: BramaError | None = None
        self.applied: list[Plan] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.requested = asyncio.Event()

    def load(self):
        self.loads += 1
        if self.fault is not None:
            raise self.fault
        return self.file

    def join(self, file, answer):
        if "bad" in answer:
            raise ConfigError("bots_source: bots[0].id: is missing")
        return file.model_copy(update={"bots": (*file.bots, *answer)}), ["one of them was left out"]

    def refresh(self):
        self.refreshed += 1

    async def apply(self, plan):
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        self.applied.append(plan)

    def reloader(self, *, is_open: bool = True, answer=None) -> Reloader:
        sources = Sources(self.load, self.join, self.refresh)
        reloader = Reloader(self.file, answer, self.file, sources, self.apply, self.requested)
        if is_open:
            reloader.open()
        return reloader


async def test_what_differs_is_applied_and_remembered():
    world = World()
    reloader = world.reloader()
    world.file = settings(SHOP, SUPPORT)
    plan, _ = await reloader.reload()
    assert [change.action for change in plan.bots] == [Action.ADD]
    assert world.applied == [plan]
    assert world.refreshed == 1
    assert reloader.settings.bots == (SHOP, SUPPORT)
    assert (await reloader.reload())[0].bots == ()


async def test_a_dry_run_changes_nothing():
    world = World()
    reloader = world.reloader()
    world.file = settings(SUPPORT)
    plan, _ = await reloader.reload(dry_run=True)
    assert [change.action for change in plan.bots] == [Action.ADD, Action.REMOVE]
    assert world.applied == []
    assert world.refreshed == 0
    assert reloader.settings.bots == (SHOP,)


async def test_a_bad_file_changes_nothing_and_says_why_until_a_good_one_comes():
    world = World()
    reloader = world.reloader()
    world.fault = ConfigError("brama.yaml:1: one\nbrama.yaml:2: two")
    with pytest.raises(ConfigError):
        await reloader.reload()
    assert reloader.failure == "brama.yaml:1: one\nbrama.yaml:2: two"
    assert world.applied == []
    world.fault = None
    await reloader.reload()
    assert reloader.failure is None


async def test_a_dry_run_of_a_bad_file_is_no_failed_reload():
    world = World()
    reloader = world.reloader()
    world.fault = ConfigError("brama.yaml:1: one")
    with pytest.raises(ConfigError):
        await reloader.reload(dry_run=True)
    assert reloader.failure is None


async def test_what_the_master_refuses_is_not_taken_for_running():
    world = World()
    reloader = world.reloader()
    world.file, world.refusal = settings(SUPPORT), BramaError("webhook.port is taken")
    with pytest.raises(BramaError):
        await reloader.reload()
    assert reloader.settings.bots == (SHOP,)
    world.refusal = None
    assert [change.bot_id for change in (await reloader.reload())[0].bots] == ["support", "shop"]


async def test_a_reload_during_the_start_waits_for_its_end():
    world = World()
    reloader = world.reloader(is_open=False)
    waiting = asyncio.ensure_future(reloader.reload())
    await _idle()
    assert world.loads == 0
    reloader.open()
    await waiting
    assert len(world.applied) == 1


async def test_a_reload_during_another_waits_and_reads_the_file_as_it_is_then():
    world = World()
    reloader = world.reloader()
    world.gate.clear()
    first = asyncio.ensure_future(reloader.reload())
    while not world.loads:
        await asyncio.to_thread(bool)
    second = asyncio.ensure_future(reloader.reload())
    world.file = settings(SUPPORT)
    world.gate.set()
    await first
    plan, _ = await second
    assert [change.bot_id for change in plan.bots] == ["support", "shop"]


async def test_there_is_no_reload_during_the_stop():
    world = World()
    reloader = world.reloader(is_open=False)
    waiting = asyncio.ensure_future(reloader.reload())
    reloader.close()
    with pytest.raises(BramaError, match="stopping"):
        await waiting
    with pytest.raises(BramaError, match="stopping"):
        await reloader.reload()
    assert world.applied == []


async def test_what_is_being_applied_is_waited_for_and_nothing_follows():
    """Else a master that is replaced would leave half of a change behind."""
    world = World()
    reloader = world.reloader()
    world.file = settings(SHOP, SUPPORT)
    world.gate.clear()
    applied, refused = asyncio.ensure_future(reloader.reload()), asyncio.ensure_future(reloader.reload())
    await await_until(lambda: world.loads == 1)
    reloader.close()
    settling = asyncio.ensure_future(reloader.settle())
    await loop_turn()
    assert not settling.done()
    world.gate.set()
    await settling
    assert applied.done()
    with pytest.raises(BramaError, match="nothing was changed"):
        await refused
    assert len(world.applied) == 1


async def test_a_caller_that_gives_up_leaves_the_reload_running():
    world = World()
    reloader = world.reloader()
    world.gate.clear()
    caller = asyncio.ensure_future(reloader.reload())
    while not world.loads:
        await asyncio.to_thread(bool)
    caller.cancel()
    world.gate.set()
    await reloader.reload(dry_run=True)
    assert len(world.applied) == 1


async def test_requests_before_their_turn_are_one_and_bad_ones_end_nothing():
    world = World()
    reloader = world.reloader()
    world.fault = ConfigError("no")
    serving = asyncio.ensure_future(reloader.serve_requests())
    for _ in range(3):
        world.requested.set()
    while reloader.failure is None:
        await asyncio.to_thread(bool)
    world.fault = None
    world.requested.set()
    while reloader.failure is not None:
        await asyncio.to_thread(bool)
    serving.cancel()
    assert world.loads == 2


async def test_the_platforms_bots_stand_beside_the_files():
    world = World()
    reloader = world.reloader()
    assert await reloader.offer([NEWS]) is None
    assert reloader.settings.bots == (SHOP, NEWS)
    world.file = settings(SUPPORT, bots_source=PLATFORM)
    _, warnings = await reloader.reload()
    assert reloader.settings.bots == (SUPPORT, NEWS)
    assert warnings == ["one of them was left out"]


async def test_without_an_address_there_are_no_bots_of_the_platform():
    world = World()
    reloader = world.reloader(answer=[NEWS])
    world.file = settings(SHOP)
    await reloader.reload()
    assert reloader.settings.bots == (SHOP,)


async def test_a_malformed_answer_changes_nothing():
    world = World()
    reloader = world.reloader(answer=[NEWS])
    assert await reloader.offer(["bad"]) == "bots_source: bots[0].id: is missing"
    assert world.applied == []
    await reloader.reload()
    assert reloader.settings.bots == (SHOP, NEWS)


async def test_an_answer_does_not_take_a_file_into_use_that_nobody_reloaded():
    world = World()
    reloader = world.reloader()
    world.file = settings(SUPPORT, bots_source=PLATFORM)
    await reloader.offer([NEWS])
    assert world.loads == 0
    assert reloader.settings.bots == (SHOP, NEWS)


async def _idle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.to_thread(bool)
