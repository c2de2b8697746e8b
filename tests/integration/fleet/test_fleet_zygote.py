"""The zygote dies, hangs, and comes back; no bot notices."""

import asyncio
import os
import signal

import pytest

from brama.errors import ZygoteError
from brama.ids import BotId
from supervisor.fleet import zygote_client
from supervisor.fleet.policy.model import State
from supervisor.fleet.zygote_client import ZygoteClient
from tests.integration.fleet.stage import PLAIN_ZYGOTE, bot, settings, staged
from tests.waiting import await_until, loop_turn

SHOP = BotId("shop")


async def test_bots_outlive_the_zygote_and_new_ones_are_forked(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        first = stage.zygote.pid
        os.kill(first or 0, signal.SIGKILL)
        await await_until(lambda: stage.zygote.pid not in (None, first), what="another zygote")
        stage.router.deliver("shop", 1)
        await await_until(lambda: stage.view().messages == 1)
        assert stage.view().pid == view.pid
        await stage.fleet.command("restart", [SHOP])
        assert (await stage.outlives(view.pid)).generation == 2


async def test_forks_that_a_dead_zygote_owed_are_asked_of_the_next(tmp_path):
    names = [f"bot{number}" for number in range(20)]
    async with staged(settings(tmp_path, *(bot(name, "serve", tmp_path) for name in names))) as stage:
        assert stage.zygote.owes_answers
        os.kill(stage.zygote.pid or 0, signal.SIGKILL)
        await stage.all_reach(State.RUNNING)
        pids = {view.pid for view in stage.fleet.views()}
        assert len(pids) == 20


async def test_a_zygote_that_does_not_answer_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "ANSWER_LIMIT_S", 0.3)
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        stopped = stage.zygote.pid
        os.kill(stopped or 0, signal.SIGSTOP)
        os.kill(view.pid or 0, signal.SIGKILL)
        await stage.outlives(view.pid)
        assert stage.zygote.pid != stopped


async def test_a_bot_can_be_stopped_while_there_is_no_zygote(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "REPLACE_AFTER_S", (600.0,))
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        os.kill(stage.zygote.pid or 0, signal.SIGKILL)
        await await_until(lambda: stage.zygote.pid is None)
        os.kill(view.pid or 0, signal.SIGKILL)
        await stage.reaches(State.STARTING)
        reason = stage.view().reason
        assert reason is not None
        assert "the zygote ended (signal 9)" in reason
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)


async def test_a_zygote_killed_before_the_first_was_warm_is_replaced(tmp_path):
    client = ZygoteClient((), tmp_path, os.environ, module=PLAIN_ZYGOTE)
    client.launch()
    os.kill(client.pid or 0, signal.SIGKILL)
    try:
        warm = await client.wait_warm()
        assert warm.pid == client.pid
    finally:
        await client.aclose()


async def test_zygotes_that_are_killed_again_and_again_fail_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "REPLACE_AFTER_S", (0.0,))
    client = ZygoteClient((), tmp_path, os.environ, module=PLAIN_ZYGOTE)
    client.launch()

    async def kill_all() -> None:
        while True:
            if client.pid:
                os.kill(client.pid, signal.SIGKILL)
            await loop_turn()

    killing = asyncio.create_task(kill_all())
    try:
        with pytest.raises(ZygoteError, match=r"ended before it was warm \(signal 9\)"):
            await client.wait_warm()
    finally:
        killing.cancel()
        await client.aclose()


async def test_a_zygote_that_ends_by_itself_fails_the_start_at_once(tmp_path):
    client = ZygoteClient((), tmp_path, os.environ, module="no_such_module")
    with pytest.raises(ZygoteError, match=r"ended before it was warm \(exit code 1\)"):
        await client.wait_warm()
    await client.aclose()


async def told_of(client: ZygoteClient) -> str | None:
    """Wait for what becomes of a zygote; return why it is of no use."""
    try:
        await client.wait_warm()
    except ZygoteError as error:
        return str(error)
    return None


async def test_who_was_told_of_a_failure_can_wait_for_the_next_zygote(tmp_path, monkeypatch):
    """Each failure is told once, in its own words; a zygote that is of use ends the waiting."""
    monkeypatch.setattr(zygote_client, "REPLACE_AFTER_S", (0.0,))
    (tmp_path / "mood.py").write_text("raise RuntimeError('not today')")
    client = ZygoteClient(["mood"], tmp_path, os.environ)
    told = [await told_of(client) for _ in range(2)]
    assert all(
        'zygote.preload: "mood" does not import: RuntimeError: not today' in str(each) for each in told
    )
    (tmp_path / "mood.py").write_text("")
    while (words := await told_of(client)) is not None:
        assert "not today" in words  # it was on its way
    assert client.memory_bytes
    await client.aclose()


async def test_a_zygote_that_is_never_warm_fails_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "WARM_LIMIT_S", 0.2)
    client = ZygoteClient((), tmp_path, os.environ, module="timeit")  # busy with itself for seconds
    with pytest.raises(ZygoteError, match=r"was not warm within 0\.2 s"):
        await client.wait_warm()
    await client.aclose()
