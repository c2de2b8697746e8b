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
