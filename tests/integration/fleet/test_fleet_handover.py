"""Two masters of one process after each other: the second goes on with what the first has let go of."""

import asyncio
import os
import signal

import msgspec
import pytest

from brama.config.models import IsolationSection
from brama.errors import BramaError
from brama.ids import BotId
from brama.messages import Begun, Processed
from supervisor.fleet.policy.model import Phase, State
from supervisor.fleet.policy.reasons import BEING_REPLACED
from supervisor.fleet.records import MemberRecord
from supervisor.fleet.strays import Dead, Strays
from tests.integration.fleet.stage import (
    MemoryStore,
    Stage,
    bot,
    lives,
    restarting,
    settings,
    staged,
    stopping,
)
from tests.waiting import await_until

SHOP = BotId("shop")


def phase(stage: Stage) -> Phase:
    return stage.fleet._members[SHOP].worker.phase


def pipe_of(record: MemberRecord) -> int:
    assert record.process is not None
    return record.process.pipe


def starts(stage: Stage) -> tuple[int, int]:
    view = stage.view()
    return view.generation, view.restarts


async def test_a_bot_that_serves_goes_on_and_is_then_renewed(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        before = await first.reaches(State.RUNNING)
        first.router.deliver("shop", 1)
        await await_until(lambda: first.view().messages == 1)
        [left] = await first.hand_over()
        assert not os.get_inheritable(pipe_of(left))
        assert first.zygote.pid is None
        async with staged(configured, first.store, left=[left]) as second:
            assert second.view().pid == before.pid
            assert second.view().started_at == before.started_at
            assert second.state() is State.RUNNING
            assert len(second.fleet.renewal) == 1
            assert second.pollers.open_for == {SHOP}
            assert second.pollers.allowed == {SHOP: ["message"]}
            second.router.deliver("shop", 2)
            await await_until(lambda: second.view().messages == 2)
            await second.fleet.renew()
            await second.outlives(before.pid)
            await await_until(lambda: len(second.fleet.renewal) == 0)
            assert starts(second) == (2, 1)
            assert second.router.gone == [(SHOP, True)]
            assert not lives(before.pid or 0)
        assert first.router.gone == []


async def test_a_bot_that_boots_goes_on_booting(tmp_path):
    configured = settings(tmp_path, bot("shop", "late", tmp_path))
    async with staged(configured) as first:
        await await_until(lambda: phase(first) is Phase.BOOT)
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            assert phase(second) is Phase.BOOT
            (tmp_path / "ready").touch()
            view = await second.reaches(State.RUNNING)
            assert (view.pid, view.generation) == (first.view().pid, 1)


@pytest.mark.parametrize(("command", "state"), [("stop", State.STOPPED), ("restart", State.RUNNING)])
async def test_a_drain_goes_on_and_leads_where_it_was_to_lead(tmp_path, command, state):
    configured = settings(tmp_path, bot("shop", "stubborn", tmp_path), stop=stopping(timeout=2))
    async with staged(configured) as first:
        pid = (await first.reaches(State.RUNNING)).pid or 0
        await first.fleet.command(command, [SHOP])
        assert phase(first) is Phase.DRAIN
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            assert (phase(second), second.view().pid) == (Phase.DRAIN, pid)
            assert second.pollers.open_for == (set() if command == "stop" else {SHOP})
            await second.fleet.renew()
            await second.reaches(state)
            assert not lives(pid)
            assert second.router.gone == [(SHOP, True)]
            assert len(second.fleet.renewal) == 0


async def test_a_process_that_was_told_to_end_is_killed_in_time(tmp_path):
    configured = settings(tmp_path, bot("shop", "late", tmp_path), stop=stopping(timeout=2))
    async with staged(configured) as first:
        await await_until(lambda: phase(first) is Phase.BOOT)
        pid = first.view().pid or 0
        await first.fleet.command("restart", [SHOP])
        assert phase(first) is Phase.TERM
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            (tmp_path / "ready").touch()
            await second.fleet.renew()
            await second.outlives(pid)
            assert not lives(pid)
            assert second.view().generation == 2


async def test_a_bot_that_is_enabled_while_it_drains_comes_back(tmp_path):
    """The first master was told that it is not wanted, the second begins with a file that says it is."""
    wanted = settings(tmp_path, bot("shop", "stubborn", tmp_path), stop=stopping(timeout=2))
    unwanted = settings(tmp_path, bot("shop", "stubborn", tmp_path, enabled=False), stop=stopping(timeout=2))
    async with staged(wanted) as first:
        pid = (await first.reaches(State.RUNNING)).pid
        await first.fleet.reconfigure(unwanted, ())
        assert phase(first) is Phase.DRAIN
        async with staged(wanted, first.store, left=await first.hand_over()) as second:
            assert second.pollers.open_for == {SHOP}
            await second.fleet.renew()
            await second.outlives(pid)


async def test_a_bot_that_is_disabled_meanwhile_is_ended(tmp_path):
    wanted = settings(tmp_path, bot("shop", "serve", tmp_path))
    unwanted = settings(tmp_path, bot("shop", "serve", tmp_path, enabled=False))
    async with staged(wanted) as first:
        pid = (await first.reaches(State.RUNNING)).pid or 0
        async with staged(unwanted, first.store, left=await first.hand_over()) as second:
            view = await second.reaches(State.STOPPED)
            assert view.reason == "disabled in the configuration (enabled: false)"
            assert second.pollers.open_for == set()
            assert not lives(pid)


async def test_a_bot_that_waits_after_deaths_starts_at_once(tmp_path):
    section = restarting(cooldown=600, budget=50)
    configured = settings(tmp_path, bot("shop", "exiting", tmp_path, "1"), restart=section)
    async with staged(configured) as first:
        await await_until(lambda: starts(first)[1] >= 2 and first.state() is State.BACKOFF, 30.0)
        generation, restarts = starts(first)
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            await second.fleet.renew()
            await await_until(lambda: starts(second) > (generation, restarts), what="another attempt")


async def test_a_bot_that_was_given_up_gets_another_chance(tmp_path):
    broken = settings(tmp_path, bot("shop", "stillborn", tmp_path, "78"))
    async with staged(broken) as first:
        await first.reaches(State.FATAL)
        mended = settings(tmp_path, bot("shop", "serve", tmp_path))
        async with staged(mended, first.store, left=await first.hand_over()) as second:
            await second.fleet.renew()
            await second.reaches(State.RUNNING)
            assert starts(second) == (2, 1)


async def test_a_stopped_bot_stays_stopped(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        await first.reaches(State.RUNNING)
        await first.fleet.command("stop", [SHOP])
        await first.reaches(State.STOPPED)
        [left] = await first.hand_over()
        assert left.process is None
        async with staged(configured, first.store, left=[left]) as second:
            await second.fleet.renew()
            assert second.state() is State.STOPPED
            assert second.view().reason == "stopped by command"
            assert second.pollers.open_for == set()
            await second.fleet.command("start", [SHOP])
            assert (await second.reaches(State.RUNNING)).generation == 2


async def test_a_fork_that_is_not_answered_yet_is_asked_again(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        await first.reaches(State.RUNNING)
        assert first.zygote.pid is not None
        os.kill(first.zygote.pid, signal.SIGSTOP)
        await first.fleet.command("restart", [SHOP])
        await await_until(lambda: first.zygote.owes_answers)
        assert phase(first) is Phase.SPAWN
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            await second.fleet.renew()
            assert (await second.reaches(State.RUNNING)).generation == 3


async def test_half_a_message_of_a_worker_is_heard_whole(tmp_path):
    configured = settings(tmp_path, bot("shop", "halting", tmp_path))
    async with staged(configured) as first:
        await first.reaches(State.RUNNING)
        first.router.deliver("shop", 5)
        handle = first.fleet._members[SHOP].handle
        assert handle is not None
        await await_until(lambda: len(handle._link._reader.pending) == 7, what="the first half")
        [left] = await first.hand_over()
        assert left.process is not None
        assert len(left.process.past.rest.unread) == 7
        async with staged(configured, first.store, left=[left]) as second:
            (tmp_path / "go").touch()
            await await_until(lambda: second.view().messages == 1)
            assert second.router.reports == [(SHOP, Begun([5])), (SHOP, Processed([5]))]
        assert first.router.reports == []


async def test_what_a_stopped_worker_has_not_read_comes_whole_and_in_order(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        pid = (await first.reaches(State.RUNNING)).pid or 0
        os.kill(pid, signal.SIGSTOP)
        for seq in range(1, 31):
            first.router.deliver("shop", seq, bytes(100_000))
        handle = first.fleet._members[SHOP].handle
        assert handle is not None
        await await_until(lambda: 0 < handle.queued_bytes < 3_000_000, what="a full pipe")
        [left] = await first.hand_over()
        assert left.process is not None
        assert left.process.past.rest.unsent
        async with staged(configured, first.store, left=[left]) as second:
            second.router.deliver("shop", 31)
            os.kill(pid, signal.SIGCONT)
            await await_until(lambda: second.view().messages == 31)
            done = [said.seqs[0] for _, said in second.router.reports if isinstance(said, Processed)]
            assert done == list(range(1, 32))
            assert second.view().pid == pid


async def test_a_worker_that_dies_between_the_two_is_heard_to_its_end_and_followed(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        pid = (await first.reaches(State.RUNNING)).pid or 0
        os.kill(pid, signal.SIGSTOP)
        first.router.deliver("shop", 1)
        first.router.deliver("shop", 2, b"die")
        handle = first.fleet._members[SHOP].handle
        assert handle is not None
        await await_until(lambda: handle.queued_bytes == 0)
        left = await first.hand_over()
        os.kill(pid, signal.SIGCONT)
        await await_until(lambda: not lives(pid))
        async with staged(configured, first.store, left=left) as second:
            await second.fleet.renew()
            await second.outlives(pid)
            assert (SHOP, Processed([1])) in second.router.reports
            assert second.router.reports[-1] == (SHOP, Begun([2]))
            assert second.router.gone == [(SHOP, False)]
            assert len(second.fleet.renewal) == 0


async def test_a_second_hand_over_leaves_what_is_not_renewed_yet(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        pid = (await first.reaches(State.RUNNING)).pid
        async with (
            staged(configured, first.store, left=await first.hand_over()) as second,
            staged(configured, second.store, left=await second.hand_over()) as third,
        ):
            assert (third.view().pid, len(third.fleet.renewal)) == (pid, 1)
            await third.fleet.renew()
            await third.outlives(pid)


async def test_uids_stay_whose_they_were(tmp_path):
    shop, news = bot("shop", "serve", tmp_path), bot("news", "serve", tmp_path, number=2)
    isolation = IsolationSection(uids="7000-7009")
    async with staged(settings(tmp_path, shop, news, isolation=isolation)) as first:
        await first.all_reach(State.RUNNING)
        left = await first.hand_over()
        configured = settings(tmp_path, news, shop, isolation=isolation)
        async with staged(configured, first.store, left=left) as second:
            uids = {bot_id: member.uid for bot_id, member in second.fleet._members.items()}
            assert uids == {"shop": 7000, "news": 7001}


@pytest.mark.parametrize("now", [[], [2]], ids=["removed", "of another bot of Telegram"])
async def test_a_process_that_nobody_goes_on_with_is_ended_and_reaped(tmp_path, now):
    async with staged(settings(tmp_path, bot("shop", "stubborn", tmp_path))) as first:
        pid = (await first.reaches(State.RUNNING)).pid or 0
        [left] = await first.hand_over()
        configured = settings(tmp_path, *(bot("shop", "serve", tmp_path, number=number) for number in now))
        async with staged(configured, first.store, left=[left]) as second:
            await await_until(lambda: not lives(pid))
            with pytest.raises(OSError):
                os.fstat(pipe_of(left))
            await await_until(lambda: not os.path.exists(f"/proc/{pid}"), what="the zombie to be reaped")
            assert len(second.fleet.renewal) == 0
            for _ in now:
                await second.fleet.renew()
                assert (await second.reaches(State.RUNNING)).generation == 1


async def test_a_process_of_other_speech_is_replaced_before_a_word_is_changed(tmp_path):
    """It was to be retired; what was executed is of another version than what proved itself."""
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        pid = (await first.reaches(State.RUNNING)).pid
        [left] = await first.hand_over()
        assert left.process is not None
        foreign = msgspec.structs.replace(left.process, protocol=1_000)
        left = msgspec.structs.replace(left, process=foreign)
        async with staged(configured, first.store, left=[left]) as second:
            assert second.router.sends == {}
            await second.fleet.renew()
            await second.outlives(pid)
            assert second.router.gone == [(SHOP, False)]


async def test_who_has_handed_over_takes_no_command(tmp_path):
    """It could not be carried out, and must not be answered as if it were."""
    configured = settings(tmp_path, bot("shop", "serve", tmp_path))
    async with staged(configured) as first:
        await first.reaches(State.RUNNING)
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            with pytest.raises(BramaError, match=BEING_REPLACED):
                await first.fleet.command("stop", [SHOP])
            with pytest.raises(BramaError, match=BEING_REPLACED):
                await first.fleet.reconfigure(configured, ())
            assert second.state() is State.RUNNING


async def test_retired_processes_are_waited_for_and_their_intake_goes_on(tmp_path):
    configured = settings(tmp_path, bot("shop", "serve", tmp_path), bot("news", "serve", tmp_path, number=2))
    async with staged(configured, MemoryStore()) as first:
        await first.all_reach(State.RUNNING)
        pid = first.view().pid or 0
        await first.fleet.retire([SHOP])
        assert first.state() is State.STOPPED
        assert first.state("news") is State.RUNNING
        assert first.pollers.open_for == {"shop", "news"}
        assert not lives(pid)
        async with staged(configured, first.store, left=await first.hand_over()) as second:
            await second.fleet.renew()
            assert (await second.reaches(State.RUNNING)).generation == 2


async def test_the_burial_of_a_worker_is_waited_for_though_another_dies_meanwhile():
    """Its pid is free already, its pipe closed: there is nothing that could be handed over."""
    loop, buried = asyncio.get_running_loop(), list[str]()
    strays = Strays(loop, "nobody's", lambda _: True, lambda: False)
    second = Dead(BotId("second"), 2**22 + 2)

    def first_ended() -> None:  # the second one's end is next in the loop
        buried.append("first")
        loop.call_soon(strays.end, second, lambda: buried.append("second"))

    strays.end(Dead(BotId("first"), 2**22 + 1), first_ended)
    await strays.wait_ended()
    assert buried == ["first", "second"]
