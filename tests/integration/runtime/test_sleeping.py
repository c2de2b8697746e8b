"""A worker that is asked whether it may sleep judges what it has to do, and what would be lost."""

from textwrap import indent

import pytest

from brama.messages import Begun, Deliver, Dozing, Processed, Released, Returned, Sleep, StaysAwake
from tests.integration.runtime.master import Master, message

#: A bot whose handler runs BODY, and for the text "hold" waits for a file.
SCRIPT = """
import asyncio, pathlib, subprocess, threading, time
from contextvars import Context
from datetime import time as time_of_day
from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.ext import *

async def appear(name):
    while not pathlib.Path(name).exists():
        await asyncio.sleep(0.005)

async def do(update, context):
    app, loop = context.application, asyncio.get_running_loop()
    if update.message.text == "hold":
        await appear("go")
        return
    global kept
BODY
    await update.message.reply_text("did it")

def talk(**timeout):
    async def begin(update, context):
        await update.message.reply_text("your name?")
        return 1
    async def end(update, context):
        await update.message.reply_text("goodbye")
        return ConversationHandler.END
    return ConversationHandler(
        [CommandHandler("talk", begin)], {1: [MessageHandler(filters.TEXT, end)]}, [], **timeout
    )

async def post_stop(app):
    print("post_stop")

app = Application.builder()BUILDER.post_stop(post_stop).build()
HANDLERS
app.add_handler(MessageHandler(filters.TEXT, do))
app.run_polling()
"""

PERSISTENCE = ".persistence(PicklePersistence('state.pickle'))"


def script(body: str = "pass", builder: str = "", handlers: str = "") -> str:
    text = SCRIPT.replace("BODY", indent(body, "    ")).replace("BUILDER", builder)
    return text.replace("HANDLERS", handlers)


def ask(bot: Master, *, unsafe: bool = False) -> str | None:
    """Ask it whether it may sleep; return what keeps it awake, None: it sleeps."""
    answers = len(bot.all_said(StaysAwake))
    bot.send(Sleep(unsafe))
    wait_answer(bot, answers)
    return None if bot.all_said(Dozing) else bot.all_said(StaysAwake)[-1].reason


def wait_answer(bot: Master, before: int = 0) -> None:
    """Wait until it agrees to sleep, or stays awake once more than ``before``."""
    bot.wait(lambda: bot.all_said(Dozing) or len(bot.all_said(StaysAwake)) > before, "an answer")


def begin(start_bot, **parts: str) -> Master:
    """Return a bot whose first text is processed."""
    bot: Master = start_bot(script(**parts))
    bot.wait_ready()
    bot.wait_processed(bot.say("do it"))
    return bot


def test_a_bot_without_business_ends_as_in_a_drain(start_bot):
    bot = begin(start_bot)
    assert ask(bot) is None
    assert bot.wait_exit() == 0
    assert "post_stop" in bot.log


#: What a handler leaves behind, and how that keeps the bot awake.
BUSINESS = {
    "loop.call_soon(app.create_task, asyncio.sleep(600), context=Context())": "1 task of Application",
    "app.job_queue.run_once(do, 600)": "1 job is scheduled",
    "app.job_queue.run_daily(do, time_of_day())": "1 job is scheduled",
    "kept = asyncio.create_task(appear('never'))": "asyncio tasks of its own run: appear",
    "threading.Thread(target=time.sleep, args=(600,), name='feed').start()": "threads of its own run: feed",
    "kept = loop.run_in_executor(None, time.sleep, 600)": "threads of its own run",
    "kept = subprocess.Popen(['cat'], stdin=subprocess.PIPE)": "1 child process runs",
    "kept = await asyncio.start_server(print, '127.0.0.1', 0)": "it listens on 1 socket",
    "app.update_queue.maxsize": None,
    "await asyncio.to_thread(time.sleep, 0)": None,
    "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()": None,
    "subprocess.run(['true'])": None,
    "context.user_data": None,
    "context.user_data['name'] = 'Ann'": "no persistence keeps its user_data",
    "context.chat_data['cart'] = [1]": "no persistence keeps its chat_data",
    "context.bot_data['seen'] = 1": "no persistence keeps its bot_data",
}


@pytest.mark.parametrize("body", BUSINESS)
def test_what_a_handler_leaves_behind_keeps_it_awake(start_bot, body):
    bot = begin(start_bot, body=body)
    reason, expected = ask(bot), BUSINESS[body]
    assert (reason or "").startswith(expected or "")
    assert (reason is None) == (expected is None)
    bot.wait_processed(bot.say("hello")) if expected else bot.wait_exit()


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ("context.user_data['name'] = 'Ann'", "user_data"),
        ("context.chat_data['cart'] = [1]", "chat_data"),
        ("context.bot_data['seen'] = 1", "bot_data"),
    ],
)
def test_state_is_no_reason_where_it_is_kept_or_may_be_lost(start_bot, body, lost):
    kept = begin(start_bot, body=body, builder=PERSISTENCE)
    assert ask(kept) is None
    assert kept.wait_exit() == 0
    store = f"PersistenceInput(**{{'{lost}': False}})"
    partly = begin(
        start_bot, body=body, builder=f".persistence(PicklePersistence('other', store_data={store}))"
    )
    assert lost in (ask(partly) or "")
    in_memory = begin(start_bot, body=body, builder=".persistence(DictPersistence())")
    assert lost in (ask(in_memory) or "")
    assert ask(in_memory, unsafe=True) is None
    assert in_memory.wait_exit() == 0


def test_settings_of_the_supervisor_are_no_state(start_bot):
    bot = start_bot(script(), settings={"greeting": "hello"})
    bot.wait_ready()
    assert ask(bot) is None


def test_a_conversation_without_persistence(start_bot):
    bot = begin(start_bot, handlers="app.add_handler(talk())")
    bot.wait_processed(bot.say("/talk"))
    assert ask(bot) == "no persistence keeps its conversations; add one, or set idle_unsafe: true"
    bot.wait_processed(bot.say("Ann"))
    assert ask(bot) is None


def test_a_conversation_that_is_kept(start_bot):
    handlers = "app.add_handler(talk(name='talk', persistent=True))"
    bot = begin(start_bot, builder=PERSISTENCE, handlers=handlers)
    bot.wait_processed(bot.say("/talk"))
    assert ask(bot) is None
    assert bot.wait_exit() == 0
    again = start_bot(script(builder=PERSISTENCE, handlers=handlers))
    again.wait_ready()
    again.wait_processed(again.say("Ann"))
    assert ask(again) is None


def test_a_conversation_with_a_timeout(start_bot):
    handlers = "app.add_handler(talk(name='talk', persistent=True, conversation_timeout=600))"
    bot = begin(start_bot, builder=PERSISTENCE, handlers=handlers)
    bot.wait_processed(bot.say("/talk"))
    assert ask(bot) == ask(bot, unsafe=True) == "1 conversation waits for a timeout"
    bot.wait_processed(bot.say("Ann"))
    assert ask(bot) is None


def test_buttons_with_data_of_their_own(start_bot):
    body = """await update.message.reply_text("which?", reply_markup=InlineKeyboardMarkup(
        [[InlineKeyboardButton("this", callback_data=("a", 1))]]))"""
    bot = begin(start_bot, body=body, builder=".arbitrary_callback_data(True)")
    assert "callback_data" in (ask(bot) or "")
    assert ask(bot, unsafe=True) is None


def test_an_update_in_progress(start_bot, tmp_path):
    bot = begin(start_bot)
    held = bot.say("hold")
    bot.wait(lambda: held in bot.seqs(Begun))
    assert ask(bot, unsafe=True) == "1 update is in progress"
    (tmp_path / "go").touch()
    bot.wait_processed(held)
    assert ask(bot) is None


def test_updates_that_cross_the_answer_are_processed_or_given_back(start_bot):
    for number in range(10):
        bot = begin(start_bot, builder=PERSISTENCE)
        before = bot.say("before") if number % 2 else None
        bot.send(Sleep(unsafe=False), *[Deliver(100, 100, message(100))] * (number % 3 == 0))
        bot.send(Deliver(101, 101, message(101)))
        wait_answer(bot)
        expected = {101} | ({100} if number % 3 == 0 else set()) | ({before} if before else set())
        if bot.all_said(Dozing):
            assert bot.wait_exit() == 0
        else:
            bot.wait_processed(*expected)
        ended = [*bot.seqs(Processed), *bot.seqs(Returned)]
        assert sorted(ended) == sorted({1, *expected})


def test_a_persistence_that_fails(start_bot, tmp_path):
    body = "context.user_data['last'] = update.update_id"
    builder = ".persistence(PicklePersistence('folder/state.pickle', update_interval=3600))"
    (tmp_path / "folder").mkdir()
    bot = begin(start_bot, body=body, builder=builder)
    (tmp_path / "folder").rename(tmp_path / "gone")
    bot.say("again")
    bot.wait(lambda: bot.seqs(Released) == [1, 2])
    assert ask(bot) == "its persistence cannot be saved"
    (tmp_path / "gone").rename(tmp_path / "folder")
    assert ask(bot) is None
    assert bot.wait_exit() == 0
    assert bot.seqs(Processed) == [1, 2]


OWN_LOOP = """
import asyncio
from telegram.ext import *

async def main():
    app = Application.builder().build()
    async with app:
        await app.start()
        await app.updater.start_polling()
        try:
            WAIT
        finally:
            await app.updater.stop()
            await app.stop()

RUN
"""

TIMER = "its main coroutine waits for a timer"
#: How a script with a loop of its own waits, and what that means.
WAITS = {
    "await asyncio.Event().wait()": None,
    "await asyncio.Future()": None,
    "while True: await asyncio.sleep(600)": TIMER,
    "await asyncio.wait_for(asyncio.Event().wait(), 600)": TIMER,
    "async with asyncio.timeout(600): await asyncio.Event().wait()": TIMER,
}


@pytest.mark.parametrize("how", WAITS)
def test_a_loop_of_its_own(start_bot, how):
    bot = start_bot(OWN_LOOP.replace("WAIT", how).replace("RUN", "asyncio.run(main())"))
    bot.wait_ready()
    assert ask(bot) == WAITS[how]


def test_a_loop_of_its_own_with_other_business(start_bot):
    text = OWN_LOOP.replace("WAIT", "await asyncio.Event().wait()")
    alone = """
async def group():
    await asyncio.gather(main())
asyncio.run(group())"""
    bot = start_bot(text.replace("RUN", alone))
    bot.wait_ready()
    assert ask(bot) is None
    beside = """
async def feed():
    while True:
        await asyncio.sleep(60)
async def group():
    await asyncio.gather(main(), feed())
asyncio.run(group())"""
    bot = start_bot(text.replace("RUN", beside))
    bot.wait_ready()
    assert "feed" in (ask(bot, unsafe=True) or "")
