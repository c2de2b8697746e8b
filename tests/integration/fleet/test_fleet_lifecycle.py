"""Bots come up, end in every way there is, and go down: real processes, played-to neighbours."""

import os
import signal
from collections.abc import Sequence

import pytest

from brama.clock import monotonic_s
from brama.config.models import IsolationSection
from brama.errors import BramaError, ZygoteError
from brama.ids import BotId
from brama.messages import Sleep, ToWorker
from supervisor.fleet import fleet, worker_handle
from supervisor.fleet.policy.model import State, Wanted
from supervisor.fleet.worker_handle import WorkerHandle
from tests.integration.fleet.stage import (
    MemoryStore,
    bot,
    bot_limits,
    limits,
    lives,
    restarting,
    settings,
    staged,
    stopping,
)
from tests.waiting import await_until

SHOP = BotId("shop")
HOUR_S = 3600.0


async def test_bots_come_up_take_updates_and_go_down(tmp_path):
    names = [f"bot{number}" for number in range(12)]
    bots = [bot(name, "serve", tmp_path / name) for name in names]
    async with staged(settings(tmp_path, *bots)) as stage:
        await stage.all_reach(State.RUNNING)
        assert len({view.pid for view in stage.fleet.views()}) == 12
        assert stage.pollers.open_for == set(names)
        assert stage.pollers.allowed[BotId("bot3")] == ["message"]
        stage.router.deliver("bot3", 7)
        await await_until(lambda: stage.view("bot3").messages == 1)
        await await_until(lambda: stage.view("bot3").memory_bytes > 0)
        pids = [view.pid for view in stage.fleet.views()]
        await stage.fleet.stop(20.0)
        assert stage.pollers.open_for == set()
        assert not any(lives(pid) for pid in pids if pid)
        assert stage.router.gone == [(name, True) for name, _ in stage.router.gone]
        assert {view.wanted for view in stage.fleet.views()} == {Wanted.RUNNING}
        assert stage.zygote.pid is None


async def test_more_bots_than_boot_places_all_come_up(tmp_path):
    bots = [bot(f"bot{number}", "serve", tmp_path / "bots") for number in range(30)]
    async with staged(settings(tmp_path, *bots), cores=1) as stage:
        await stage.all_reach(State.RUNNING)


@pytest.mark.parametrize(("code", "cause"), [(0, "ended by itself (exit code 0)"), (1, "exit code 1")])
async def test_a_bot_that_ends_is_restarted_until_its_budget_is_spent(tmp_path, code, cause):
    async with staged(settings(tmp_path, bot("shop", "exiting", tmp_path, str(code)))) as stage:
        view = await stage.reaches(State.FATAL)
        assert view.reason == f"{cause}; 3 deaths within 3600 s, restart.budget is 2"
        assert view.restarts == 2
        assert view.pid is None
        assert stage.router.gone == [(SHOP, False)] * 3
        assert SHOP in stage.pollers.open_for, "its updates are kept"


async def test_a_segfault_is_named(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "crashing", tmp_path))) as stage:
        view = await stage.reaches(State.FATAL)
        assert view.reason is not None
        assert view.reason.startswith("killed by SIGSEGV")


async def test_exit_code_78_is_fatal_at_once_and_75_is_tried_again(tmp_path):
    bots = [
        bot("shop", "stillborn", tmp_path, "78", "import"),
        bot("wrong", "exiting", tmp_path, "78"),
        bot("far", "stillborn", tmp_path, "75", "network"),
    ]
    async with staged(settings(tmp_path, *bots)) as stage:
        view = await stage.reaches(State.FATAL)
        assert view.reason == f"{tmp_path}/stillborn.py: import"
        assert view.restarts == 0
        wrong = await stage.reaches(State.FATAL, "wrong")
        assert wrong.reason == "exit code 78: it cannot run as it is configured"
        await await_until(lambda: stage.view("far").restarts > 2, what="more attempts than the budget")
        assert stage.view("far").state is not State.FATAL


async def test_a_charged_death_restarts_at_once_and_spends_nothing(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        await stage.reaches(State.RUNNING)
        stage.router.charge = True
        for seq in range(5):
            pid = stage.view().pid
            stage.router.deliver("shop", seq, b"die")
            await stage.outlives(pid)
        assert stage.view().restarts == 5


async def test_what_a_worker_said_before_it_died_counts(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        pid = (await stage.reaches(State.RUNNING)).pid
        for seq in range(200):
            stage.router.deliver("shop", seq)
        stage.router.deliver("shop", 200, b"die")
        await stage.outlives(pid)
        assert stage.view().messages == 200


async def test_a_killed_worker_is_replaced(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        os.kill(view.pid or 0, signal.SIGKILL)
        after = await stage.outlives(view.pid)
        assert after.generation == 2
        assert after.restarts == 1


async def test_a_boot_that_hangs_with_the_interpreter_locked_is_fatal(tmp_path):
    short = limits(min_free_memory=0.0, start_timeout=0.5)
    async with staged(settings(tmp_path, bot("shop", "busy", tmp_path), limits=short)) as stage:
        view = await stage.reaches(State.FATAL)
        assert view.reason == "no Application polling within 0.5 s (limits.start_timeout)"


async def test_a_stopped_process_is_found_hung_and_replaced(tmp_path):
    short = limits(min_free_memory=0.0, worker_timeout=0.7)
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path), limits=short)) as stage:
        view = await stage.reaches(State.RUNNING)
        os.kill(view.pid or 0, signal.SIGSTOP)
        await stage.outlives(view.pid)
        assert not lives(view.pid or 0)
        assert stage.router.gone == [(SHOP, False)]


async def test_a_stopped_process_can_be_restarted(tmp_path):
    short = limits(min_free_memory=0.0, worker_timeout=0.7)
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path), limits=short)) as stage:
        view = await stage.reaches(State.RUNNING)
        os.kill(view.pid or 0, signal.SIGSTOP)
        await stage.fleet.command("restart", [SHOP])
        await stage.outlives(view.pid)
        assert stage.router.gone == [(SHOP, True)]


async def test_a_worker_that_ignores_everything_is_killed_when_its_time_is_over(tmp_path):
    brief = stopping(timeout=0.5)
    async with staged(settings(tmp_path, bot("shop", "stubborn", tmp_path), stop=brief)) as stage:
        view = await stage.reaches(State.RUNNING)
        await stage.fleet.command("stop", [SHOP])
        assert stage.state() is State.STOPPING
        await stage.reaches(State.STOPPED)
        assert not lives(view.pid or 0)


async def test_a_second_stop_means_now(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "stubborn", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        await stage.fleet.command("stop", [SHOP])
        await stage.fleet.stop(0.0)
        assert not lives(view.pid or 0)


@pytest.mark.parametrize("behaviour", ["mute", "reborn"])
async def test_a_worker_without_its_pipe_is_replaced(tmp_path, behaviour, monkeypatch):
    monkeypatch.setattr(worker_handle, "BROKEN_GRACE_S", 0.2)
    async with staged(settings(tmp_path, bot("shop", behaviour, tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        await stage.outlives(view.pid)
        assert not lives(view.pid or 0)


async def test_a_worker_that_writes_nonsense_is_replaced_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_handle, "BROKEN_GRACE_S", 3600.0)
    patient = limits(min_free_memory=0.0, worker_timeout=3600)
    async with staged(settings(tmp_path, bot("shop", "babbling", tmp_path), limits=patient)) as stage:
        await await_until(lambda: stage.view().generation == 2, what="the next worker")
        await stage.reaches(State.RUNNING)


async def test_commands_are_remembered_for_the_next_master(tmp_path):
    store = MemoryStore()
    configuration = settings(tmp_path, bot("shop", "serve", tmp_path), bot("support", "serve", tmp_path))
    async with staged(configuration, store) as stage:
        await stage.all_reach(State.RUNNING)
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)
        assert SHOP not in stage.pollers.open_for
    async with staged(configuration, store) as stage:
        await stage.reaches(State.RUNNING, "support")
        assert stage.view().state is State.STOPPED
        assert stage.view().reason == "stopped by command"
        await stage.fleet.command("start", [SHOP])
        await stage.reaches(State.RUNNING)
    async with staged(configuration, store) as stage:
        await stage.all_reach(State.RUNNING)


async def test_a_restart_is_a_new_process_and_no_death(tmp_path):
    configuration = settings(tmp_path, bot("shop", "serve", tmp_path), restart=restarting(budget=1))
    async with staged(configuration) as stage:
        await stage.reaches(State.RUNNING)
        for _ in range(4):
            pid = stage.view().pid
            await stage.fleet.command("restart", [SHOP])
            await stage.outlives(pid)
        assert stage.view().restarts == 4


async def test_commands_in_quick_succession_leave_one_process_or_none(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        for verb in ("stop", "start", "restart", "stop", "restart", "start", "stop") * 5:
            await stage.fleet.command(verb, [SHOP])
        await stage.reaches(State.STOPPED)
        await stage.fleet.command("start", [SHOP])
        await stage.reaches(State.RUNNING)


async def test_a_command_overrides_what_the_configuration_says_until_both_agree(tmp_path):
    configuration = settings(tmp_path, bot("shop", "serve", tmp_path, enabled=False))
    async with staged(configuration) as stage:
        assert stage.view().reason == "disabled in the configuration (enabled: false)"
        assert not stage.view().is_overridden
        assert stage.pollers.open_for == set()
        assert await stage.fleet.command("start", [SHOP]) == {}
        view = await stage.reaches(State.RUNNING)
        assert view.is_overridden
        assert view.reason == "started by command; the configuration says enabled: false"
        store = stage.store
        assert store.rows["wanted/shop"] == b"RUNNING"
    async with staged(configuration, store) as stage:
        await stage.reaches(State.RUNNING)
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)
        assert "wanted/shop" not in store.rows


async def test_an_entry_without_a_token_is_not_started(tmp_path):
    incomplete = bot("shop", "serve", tmp_path, enabled=False).model_copy(update={"telegram_id": 0})
    async with staged(settings(tmp_path, incomplete)) as stage:
        refused = await stage.fleet.command("start", [SHOP])
        assert refused == {SHOP: "its entry has no token, or no script and no app; complete it first"}
        assert stage.state() is State.STOPPED


async def test_bots_wait_for_room_and_take_it_when_there_is_some(tmp_path):
    full = limits(min_free_memory=0.0, max_workers=1)
    configuration = settings(
        tmp_path, bot("shop", "serve", tmp_path), bot("support", "serve", tmp_path), limits=full
    )
    async with staged(configuration) as stage:
        await stage.reaches(State.RUNNING)
        view = await stage.reaches(State.WAITING, "support")
        assert view.reason == "1 bots run, which is limits.max_workers"
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.RUNNING, "support")


async def test_a_fast_leak_is_recycled(tmp_path):
    greedy = bot("shop", "leaking", tmp_path, "80", limits=bot_limits(memory=60 * 1024**2))
    async with staged(settings(tmp_path, greedy)) as stage:
        view = await stage.reaches(State.FATAL)
        assert view.reason is not None
        assert "more than 60 MB (limits.memory_per_worker)" in view.reason
        assert stage.router.gone == [(SHOP, True)] * 3


async def test_a_refused_zygote_fails_the_start(tmp_path):
    class Preload:
        preload = ("refused",)

    configuration = settings(tmp_path, bot("shop", "serve", tmp_path))
    refused = configuration.model_copy(update={"zygote": Preload()})
    with pytest.raises(ZygoteError, match=r"zygote\.preload: refused starts a thread"):
        async with staged(refused):
            pass


async def test_a_stopping_fleet_takes_no_commands(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        await stage.fleet.stop(5.0)
        with pytest.raises(BramaError, match="the supervisor is stopping"):
            await stage.fleet.command("start", [SHOP])


async def test_a_process_that_cannot_be_killed_does_not_keep_the_master(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "STUCK_S", 0.3)
    async with staged(settings(tmp_path, bot("shop", "stubborn", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        with monkeypatch.context() as patch:
            patch.setattr(WorkerHandle, "kill", lambda self: None)
            await stage.fleet.stop(0.0)
        assert lives(view.pid or 0)
        os.kill(view.pid or 0, signal.SIGKILL)
        await stage.reaches(State.STOPPED)


async def test_every_bot_keeps_its_uid(tmp_path):
    store = MemoryStore()
    bots = [bot("shop", "serve", tmp_path), bot("support", "serve", tmp_path)]
    isolated = {"isolation": IsolationSection(uids=range(20000, 20010))}
    async with staged(settings(tmp_path, *bots, **isolated), store) as stage:
        await stage.all_reach(State.RUNNING)
    async with staged(settings(tmp_path, *reversed(bots), **isolated), store) as stage:
        await stage.all_reach(State.RUNNING)
    assert {key: value for key, value in store.rows.items() if key.startswith("uid/")} == {
        "uid/shop": b"20000",
        "uid/support": b"20001",
    }


async def test_settings_that_cannot_be_handed_over_are_named(tmp_path):
    odd = bot("shop", "serve", tmp_path, settings={"huge": 2**70})
    async with staged(settings(tmp_path, odd)) as stage:
        await await_until(lambda: stage.view().reason is not None)
        assert (stage.view().reason or "").startswith("bots[].settings cannot be handed to the bot:")


async def test_a_process_that_has_just_begun_is_not_asked_whether_it_may_sleep(tmp_path, monkeypatch):
    """However long ago its bot's last update is."""
    asked: list[Sleep] = []
    send = WorkerHandle.send

    def noting(handle: WorkerHandle, messages: Sequence[ToWorker]) -> None:
        asked.extend(message for message in messages if isinstance(message, Sleep))
        send(handle, messages)

    monkeypatch.setattr(WorkerHandle, "send", noting)
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path, idle_timeout=HOUR_S))) as stage:
        view = await stage.reaches(State.RUNNING)
        stage.router.idle[SHOP] = monotonic_s() - HOUR_S
        await stage.fleet.command("restart", [SHOP])
        await stage.outlives(view.pid)
        assert asked == []
