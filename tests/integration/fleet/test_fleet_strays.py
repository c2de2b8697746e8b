"""What a bot leaves behind ends with it; what is nobody's business is left alone."""

import os
import signal
import subprocess
from pathlib import Path

from brama.ids import BotId
from supervisor.fleet.policy.model import State
from tests.integration.fleet.stage import bot, lives, settings, staged
from tests.waiting import await_until

SHOP = BotId("shop")


def children_of(folder: Path, generation: int) -> list[int]:
    return [int(pid) for pid in (folder / f"pids.{generation}").read_text().split()]


async def test_children_of_all_kinds_end_with_their_bot(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "parental", tmp_path))) as stage:
        await stage.reaches(State.RUNNING)
        children = children_of(tmp_path, 1)
        assert all(lives(child) for child in children)
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)
        assert [child for child in children if lives(child)] == []


async def test_children_end_before_the_next_generation_begins(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "parental", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        known = children_of(tmp_path, 1)[
            :-1
        ]  # of the last one nothing tells whose it was but having been seen
        os.kill(view.pid or 0, signal.SIGKILL)
        await await_until(lambda: stage.view().generation == 2)
        assert [child for child in known if lives(child)] == []
        await stage.outlives(view.pid)
        for child in children_of(tmp_path, 1)[-1:]:
            os.kill(child, signal.SIGKILL)


async def test_children_of_another_bot_are_left_alone(tmp_path):
    bots = [bot("shop", "parental", tmp_path / "shop"), bot("support", "parental", tmp_path / "support")]
    async with staged(settings(tmp_path, *bots)) as stage:
        await stage.all_reach(State.RUNNING)
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)
        others = children_of(tmp_path / "support", 1)
        assert all(lives(child) for child in others)


async def test_processes_that_the_master_started_are_left_alone(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        view = await stage.reaches(State.RUNNING)
        quick = subprocess.Popen(["sh", "-c", "exit 7"])  # noqa: ASYNC220
        other = subprocess.Popen(["sleep", "600"], start_new_session=True)  # noqa: ASYNC220
        try:
            os.kill(view.pid or 0, signal.SIGKILL)
            await stage.outlives(view.pid)
            assert lives(other.pid)
            assert quick.wait() == 7
        finally:
            other.kill()
            other.wait()


async def test_orphans_of_living_bots_are_reaped_when_they_end(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "parental", tmp_path))) as stage:
        await stage.reaches(State.RUNNING)
        daemon = children_of(tmp_path, 1)[-2]
        os.kill(daemon, signal.SIGKILL)
        await await_until(lambda: not Path(f"/proc/{daemon}").exists(), what="the daemon to be reaped")
        assert stage.state() is State.RUNNING
