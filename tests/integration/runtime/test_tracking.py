"""When an update has begun, when the next may start, when it is done."""

import pytest

from brama.messages import Begun, Processed, Ready, Released

HEAD = """
import asyncio
from telegram.ext import *
from telegram.error import *

events = {}

def event(name):
    return events.setdefault(name, asyncio.Event())

async def wait(update, context):
    await event(update.message.text.split()[1]).wait()
    await update.message.reply_text("waited")

async def go(update, context):
    event(update.message.text.split()[1]).set()
    await update.message.reply_text("gone")
"""

ONE_AT_A_TIME = (
    HEAD
    + """
app = Application.builder().build()
app.add_handler(CommandHandler("wait", wait, block=False))
app.add_handler(CommandHandler("go", go))
app.run_polling()
"""
)

CONCURRENT = (
    HEAD
    + """
app = Application.builder().concurrent_updates(2).build()
app.add_handler(CommandHandler("wait", wait))
app.add_handler(CommandHandler("go", go))
app.run_polling()
"""
)

TASKS = (
    HEAD
    + """
async def later(name):
    await event(name).wait()

async def starts_task(update, context):
    context.application.create_task(nested())

async def nested():
    asyncio.get_running_loop().call_soon(print, "nested")
    await asyncio.create_task(inner())

async def inner():
    app.create_task(later("inner"))

app = Application.builder().build()
app.add_handler(CommandHandler("tasks", starts_task))
app.add_handler(CommandHandler("go", go))
app.run_polling()
"""
)

PROCESSOR = (
    HEAD
    + """
class Picky(BaseUpdateProcessor):
    async def do_process_update(self, update, coroutine):
        match update.message.text:
            case "/drop":
                return
            case "/raise":
                raise ValueError("picky")
            case "/spawn":
                self.task = asyncio.create_task(coroutine)
            case _:
                await coroutine
    async def initialize(self): pass
    async def shutdown(self): pass

async def spawned(update, context):
    await event("spawned").wait()

app = Application.builder().concurrent_updates(Picky(LIMIT)).build()
app.add_handler(CommandHandler("spawn", spawned))
app.add_handler(CommandHandler("go", go))
app.run_polling()
"""
)


def test_a_handler_that_waits_for_the_next_message_does_not_block_it(start_bot, sent_texts):
    bot = start_bot(ONE_AT_A_TIME)
    bot.wait_ready()
    waiting = bot.say("/wait a")
    other = bot.say("/go b")
    bot.wait_processed(other)
    assert bot.seqs(Released) == [waiting, other]
    assert bot.seqs(Processed) == [other]
    going = bot.say("/go a")
    bot.wait_processed(waiting, going)
    assert sorted(sent_texts()) == ["gone", "gone", "waited"]


def test_concurrent_updates_begin_as_far_as_there_are_slots(start_bot):
    bot = start_bot(CONCURRENT)
    assert bot.wait_ready() == Ready(None, 2, False)
    one, two, three = (bot.say(f"/wait {name}") for name in "abc")
    bot.wait(lambda: bot.seqs(Begun) == [one, two])
    assert bot.seqs(Released) == []
    assert three not in bot.seqs(Begun)


def test_slots_free_up_when_handlers_end(start_bot):
    bot = start_bot(CONCURRENT)
    bot.wait_ready()
    one = bot.say("/wait a")
    two, three = bot.say("/go a"), bot.say("/go b")
    bot.wait_processed(one, two, three)
    assert bot.seqs(Begun) == [one, two, three]


def test_tasks_of_the_application_started_anywhere_below_a_handler_are_waited_for(start_bot):
    bot = start_bot(TASKS)
    bot.wait_ready()
    tasks = bot.say("/tasks")
    other = bot.say("/go other")
    bot.wait_processed(other)
    assert bot.seqs(Released) == [tasks, other]
    assert tasks not in bot.seqs(Processed)
    bot.say("/go inner")
    bot.wait_processed(tasks)


@pytest.mark.parametrize("limit", [1, 3])
def test_a_processor_of_the_bots_own(start_bot, limit):
    bot = start_bot(PROCESSOR.replace("LIMIT", str(limit)))
    bot.wait_ready()
    dropped, raised, spawned = bot.say("/drop"), bot.say("/raise"), bot.say("/spawn")
    assert bot.wait_failed(raised).error == "ValueError"
    bot.wait_processed(dropped)
    bot.wait(lambda: spawned in bot.seqs(Begun))
    assert spawned not in bot.seqs(Released)
    bot.wait_processed(spawned, bot.say("/go spawned"))
    assert bot.drain() == 0


POSTPONES = (
    HEAD
    + """
seen = set()

async def postpone(update, context):
    if update.update_id in seen:
        await event("postponed").wait()
    seen.add(update.update_id)
    await context.application.update_queue.put(update)
    await event("again").wait()

app = Application.builder().build()
app.add_handler(CommandHandler("postpone", postpone, block=False))
app.add_handler(CommandHandler("go", go))
app.run_polling()
"""
)

CANCELS = (
    HEAD
    + """
tasks = {}

async def run(update, context):
    tasks[update.message.text] = asyncio.current_task()
    await asyncio.Event().wait()

async def cancel(update, context):
    for task in tasks.values():
        task.cancel()

app = Application.builder().concurrent_updates(3).build()
app.add_handler(CommandHandler("run", run))
app.add_handler(CommandHandler("later", run, block=False))
app.add_handler(CommandHandler("cancel", cancel))
app.run_polling()
"""
)

CRASHES = (
    HEAD
    + """
async def main():
    app = Application.builder().concurrent_updates(3).build()
    app.add_handler(CommandHandler("wait", wait))
    app.add_handler(CommandHandler("later", wait, block=False))
    app.add_handler(CommandHandler("go", go))
    await app.initialize()
    await app.start()
    await app.updater.start_polling()
    await event("crash").wait()
    raise ValueError("crash")

import uvloop
uvloop.run(main())
"""
)


GARBAGE = """
async def garbage(application):
    await application.update_queue.put("not an update")

app.post_init = garbage
app.run_polling()
"""


def test_a_bot_whose_fetcher_is_dead_ends(start_bot):
    bot = start_bot(PROCESSOR.replace("LIMIT", "1").replace("app.run_polling()", GARBAGE))
    assert bot.wait_exit() == 1
    assert "can fetch no more updates" in bot.log
    assert "has no attribute 'message'" in bot.log


def test_an_update_that_is_put_into_the_queue_again_runs_again(start_bot):
    bot = start_bot(POSTPONES)
    bot.wait_ready()
    postponed = bot.say("/postpone")
    bot.wait_processed(bot.say("/go first"), bot.say("/go again"))
    assert postponed not in bot.seqs(Processed)
    bot.wait_processed(bot.say("/go postponed"), postponed)
    assert bot.seqs(Begun) == bot.seqs(Released) == [1, 2, 3, 4]
    assert bot.drain() == 0


def test_a_handler_that_the_bot_cancels_is_done(start_bot):
    bot = start_bot(CANCELS)
    bot.wait_ready()
    seqs = [bot.say("/run"), bot.say("/later")]
    bot.wait(lambda: bot.seqs(Begun) == seqs)
    bot.wait_processed(*seqs, bot.say("/cancel"))
    assert bot.drain() == 0


def test_handlers_cut_off_by_the_end_of_the_script_are_not_acknowledged(start_bot):
    bot = start_bot(CRASHES)
    bot.wait_ready()
    cut = [bot.say("/wait a"), bot.say("/later b")]
    bot.wait(lambda: bot.seqs(Begun) == cut)
    whole = bot.say("/go crash")
    assert bot.wait_exit() == 1
    assert set(bot.seqs(Processed)) <= {whole}
    assert bot.log.count("ValueError: crash") == 1
