"""A worker that is told to end gives back what has not begun, finishes and saves the rest, ends with 0."""

import os
import pickle
import signal

import pytest

from brama.messages import Begun, BootFailed, Drain, Heartbeat, Processed, Ready, Released, Returned

#: Waits for a file to appear, then replies.
SLOW = """
import asyncio, pathlib
from telegram.ext import *

async def wait_for(name):
    while not pathlib.Path(name).exists():
        await asyncio.sleep(0.005)

async def slow(update, context):
    context.user_data["seen"] = update.update_id
    await wait_for(update.message.text)
    await update.message.reply_text("done")

async def post_init(app):
    if pathlib.Path("slow_init").exists():
        print("initializing", flush=True)
        await wait_for("go")

async def post_stop(app):
    print("post_stop")
"""

RUN_POLLING = (
    SLOW
    + """
builder = Application.builder().concurrent_updates(CONCURRENT)PERSISTENCE
app = builder.post_init(post_init).post_stop(post_stop).build()
app.add_handler(MessageHandler(filters.TEXT, slow, block=BLOCK))
app.run_polling()
"""
)

OWN_LOOP = (
    SLOW
    + """
async def main():
    app = Application.builder().build()
    app.add_handler(MessageHandler(filters.TEXT, slow))
    async with app:
        await post_init(app)
        await app.start()
        await app.updater.start_polling()
        try:
            await asyncio.Event().wait()
        finally:
            print("stopping", flush=True)
            await app.updater.stop()
            await app.stop()
            print("stopped")

asyncio.run(main())
"""
)


def run_polling(concurrent=1, block=True, persistence=""):
    """Return a script that polls with run_polling()."""
    script = RUN_POLLING.replace("CONCURRENT", str(concurrent)).replace("BLOCK", str(block))
    return script.replace("PERSISTENCE", persistence)


SCRIPTS = {"run_polling": run_polling(), "own loop": OWN_LOOP}


@pytest.mark.parametrize("how", SCRIPTS)
def test_what_has_begun_is_finished_and_the_rest_given_back(start_bot, tmp_path, sent_texts, how):
    bot = start_bot(SCRIPTS[how])
    bot.wait_ready()
    seqs = [bot.say("go") for _ in range(5)]
    bot.wait(lambda: bot.seqs(Begun) == seqs[:1])
    bot.send(Drain())
    bot.wait(lambda: bot.seqs(Returned) == seqs[1:])
    late = bot.say("go")
    bot.wait(lambda: bot.seqs(Returned) == [*seqs[1:], late])
    (tmp_path / "go").touch()
    assert bot.wait_exit() == 0
    assert bot.seqs(Begun) == bot.seqs(Released) == bot.seqs(Processed) == seqs[:1]
    assert sent_texts() == ["done"]
    assert ("post_stop" if how == "run_polling" else "stopped") in bot.log


def test_concurrent_updates_and_tasks_finish_too(start_bot, tmp_path):
    bot = start_bot(run_polling(concurrent=2, block=False))
    bot.wait_ready()
    seqs = [bot.say("go") for _ in range(4)]
    bot.wait(lambda: bot.seqs(Released) == seqs)
    bot.send(Drain())
    (tmp_path / "go").touch()
    assert bot.wait_exit() == 0
    assert sorted(bot.seqs(Processed)) == seqs


def test_concurrent_updates_that_have_no_slot_are_given_back(start_bot, tmp_path):
    bot = start_bot(run_polling(concurrent=2))
    bot.wait_ready()
    seqs = [bot.say("go") for _ in range(5)]
    bot.wait(lambda: bot.seqs(Begun) == seqs[:2])
    bot.send(Drain())
    bot.wait(lambda: bot.seqs(Returned) == seqs[2:])
    (tmp_path / "go").touch()
    assert bot.wait_exit() == 0
    assert sorted(bot.seqs(Processed)) == seqs[:2]


def test_state_is_saved_before_the_end(start_bot, tmp_path):
    bot = start_bot(run_polling(persistence=".persistence(PicklePersistence('state'))"))
    bot.wait_ready()
    seq = bot.say("go")
    bot.wait(lambda: bot.seqs(Begun) == [seq])
    bot.send(Drain())
    (tmp_path / "go").touch()
    assert bot.wait_exit() == 0
    assert bot.seqs(Processed) == [seq]
    assert pickle.loads((tmp_path / "state").read_bytes())["user_data"] == {10: {"seen": seq}}


@pytest.mark.parametrize("how", SCRIPTS)
def test_a_bot_that_is_still_starting_ends_without_ever_being_ready(start_bot, tmp_path, how):
    (tmp_path / "slow_init").touch()
    bot = start_bot(SCRIPTS[how])
    bot.wait(lambda: "initializing" in bot.log)
    bot.send(Drain())
    if how == "run_polling":
        (tmp_path / "go").touch()
    assert bot.wait_exit() == 0
    assert bot.all_said(Ready) == bot.all_said(BootFailed) == []


@pytest.mark.parametrize("how", SCRIPTS)
def test_a_termination_signal_is_a_drain(start_bot, tmp_path, how):
    bot = start_bot(SCRIPTS[how])
    bot.wait_ready()
    seqs = [bot.say("go"), bot.say("go")]
    bot.wait(lambda: bot.seqs(Begun) == seqs[:1])
    os.kill(bot.pid, signal.SIGTERM)
    if how == "own loop":
        bot.wait(lambda: bot.seqs(Returned) == seqs[1:])
    (tmp_path / "go").touch()
    assert bot.wait_exit() == 0
    assert bot.seqs(Processed)[:1] == seqs[:1]


def test_a_second_demand_does_not_wait_for_updates(start_bot):
    bot = start_bot(OWN_LOOP)
    bot.wait_ready()
    seqs = [bot.say("never"), bot.say("never")]
    bot.wait(lambda: bot.seqs(Begun) == seqs[:1])
    bot.send(Drain())
    bot.wait(lambda: bot.seqs(Returned) == seqs[1:])
    assert "stopping" not in bot.log
    bot.send(Drain())
    bot.wait(lambda: "stopping" in bot.log)
    assert bot.seqs(Processed) == []


PAUSES = (
    SLOW
    + """
async def main():
    app = Application.builder().build()
    app.add_handler(MessageHandler(filters.TEXT, slow))
    async with app:
        await app.start()
        await app.updater.start_polling()
        await wait_for("pause")
        await app.updater.stop()
        print("paused", flush=True)
        try:
            await wait_for("resume")
            await app.updater.start_polling()
            await asyncio.Event().wait()
        finally:
            if app.updater.running:
                await app.updater.stop()
            await app.stop()

asyncio.run(main())
"""
)


@pytest.mark.parametrize("resumes", [True, False])
def test_a_bot_that_pauses_its_polling(start_bot, tmp_path, resumes):
    (tmp_path / "now").touch()
    bot = start_bot(PAUSES)
    bot.wait_ready()
    bot.wait_processed(bot.say("now"))
    (tmp_path / "pause").touch()
    bot.wait(lambda: "paused" in bot.log)
    seq = bot.say("now")
    if resumes:
        (tmp_path / "resume").touch()
        bot.wait_processed(seq)
    assert bot.drain() == 0
    assert bot.seqs(Returned) == ([] if resumes else [seq])
    assert len(bot.all_said(Ready)) == 1


def test_a_termination_signal_before_any_loop_ends_the_process(start_bot, tmp_path):
    script = "import pathlib\npathlib.Path('up').touch()\nwhile True: pass\n"
    bot = start_bot(script)
    bot.wait((tmp_path / "up").exists)
    os.kill(bot.pid, signal.SIGTERM)
    assert bot.wait_exit() == 128 + signal.SIGTERM


def test_a_termination_signal_while_the_bot_initializes_is_no_fault_of_the_bot(start_bot, tmp_path):
    (tmp_path / "slow_init").touch()
    bot = start_bot(run_polling())
    bot.wait(lambda: "initializing" in bot.log)
    os.kill(bot.pid, signal.SIGTERM)
    assert bot.wait_exit() == 128 + signal.SIGTERM
    assert bot.all_said(BootFailed) == []


def test_heartbeats_come_while_the_bot_initializes_and_count(start_bot, tmp_path):
    (tmp_path / "slow_init").touch()
    bot = start_bot(run_polling(), heartbeat_interval_s=0.02)
    bot.wait_said(Heartbeat, 3)
    assert bot.all_said(Ready) == []
    (tmp_path / "go").touch()
    bot.wait_ready()
    seq = bot.say("go")
    bot.wait_processed(seq)
    bot.say("never")
    beats = bot.all_said(Heartbeat)
    bot.wait(
        lambda: (beats := bot.all_said(Heartbeat)) and beats[-1].messages == 1 and beats[-1].in_flight == 1
    )
    assert [beat.beat for beat in beats] == list(range(1, len(beats) + 1))
    assert all(beat.uss_bytes > 1_000_000 and beat.loop_lag_ms >= 0 for beat in beats)
    assert {beat.generation for beat in beats} == {1}


def test_a_worker_ends_when_its_master_is_gone(start_bot):
    bot = start_bot(OWN_LOOP)
    bot.wait_ready()
    bot.hang_up()
    assert bot.wait_gone() != 0
