"""The fleet with the real zygote and stock scripts: what only the true child process can show."""

import os
import signal
from pathlib import Path

from brama.ids import BotId
from supervisor.fleet.policy.model import State
from supervisor.fleet.zygote_start import ZYGOTE_MODULE
from tests.integration.fleet.stage import bot, limits, lives, settings, staged
from tests.waiting import await_until

SHOP = BotId("shop")

STOCK = """
import os, subprocess, sys, time
from telegram.ext import Application
{before}
Application.builder().token(os.environ.get("BOT_TOKEN", "none")).build().run_polling()
"""


def script(folder: Path, name: str, before: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(STOCK.format(before=before))
    return path


def log_of(folder: Path, name: str = "shop") -> str:
    return (folder / "logs" / f"worker_{name}.log").read_text()


async def test_stock_scripts_run_and_leave_no_secret_and_no_child_behind(tmp_path):
    script(tmp_path / "bots", "shop", 'subprocess.Popen(["sleep", "600"], start_new_session=True)')
    script(tmp_path / "bots", "broken", "import no_such_module_anywhere")
    configuration = settings(
        tmp_path,
        bot("shop", "shop", tmp_path / "bots", token_env="BOT_TOKEN"),
        bot("broken", "broken", tmp_path / "bots", number=2),
    )
    async with staged(configuration, module=ZYGOTE_MODULE) as stage:
        view = await stage.reaches(State.RUNNING)
        broken = await stage.reaches(State.FATAL, "broken")
        assert "no_such_module_anywhere" in (broken.reason or "")
        child = int(Path(f"/proc/{view.pid}/task/{view.pid}/children").read_text())
        token = configuration.bots[0].token.get_secret_value()
        for pid in (stage.zygote.pid, view.pid):
            for file in ("environ", "cmdline"):
                assert token not in Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace")
        os.kill(view.pid or 0, signal.SIGKILL)
        await stage.outlives(view.pid)
        assert not lives(child)
        pids = [view.pid for view in stage.fleet.views() if view.pid]
        await stage.fleet.stop(20.0)
        assert not any(map(lives, pids))


async def test_a_boot_that_holds_the_interpreter_shows_where_before_it_is_given_up(tmp_path):
    script(tmp_path / "bots", "busy", "def spin():\n    while True: pass\nspin()")
    short = limits(min_free_memory=0.0, start_timeout=1.5)
    configuration = settings(tmp_path, bot("shop", "busy", tmp_path / "bots"), limits=short)
    async with staged(configuration, module=ZYGOTE_MODULE) as stage:
        view = await stage.reaches(State.FATAL)
        assert view.reason == "no Application polling within 1.5 s (limits.start_timeout)"
        assert "in spin" in log_of(tmp_path)


async def test_a_stopped_worker_shows_where_it_was(tmp_path):
    script(tmp_path / "bots", "stock")
    short = limits(min_free_memory=0.0, worker_timeout=1.5)
    configuration = settings(tmp_path, bot("shop", "stock", tmp_path / "bots"), limits=short)
    async with staged(configuration, module=ZYGOTE_MODULE) as stage:
        view = await stage.reaches(State.RUNNING)
        await await_until(lambda: stage.view().heartbeat_at is not None)
        os.kill(view.pid or 0, signal.SIGSTOP)
        await stage.outlives(view.pid)
        assert "run_polling" in log_of(tmp_path)
