"""The zygote dies, hangs, and comes back; no bot notices."""

import os
import signal

from brama.ids import BotId
from supervisor.fleet import zygote_client
from supervisor.fleet.policy.model import State
from tests.integration.fleet.stage import bot, settings, staged
from tests.waiting import await_until

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
