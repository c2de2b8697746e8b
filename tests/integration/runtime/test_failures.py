"""Which exceptions of handlers are the master's business, and what it is told of them."""

import pytest

from brama.messages import Begun, Failed, Processed, Released
from tests.integration.runtime.master import message

#: Raises what the message names; NOWHERE refuses connections, SILENT accepts and never answers.
RAISES = """
import asyncio, os, sys
import httpx
from telegram import Bot
from telegram.error import *
from telegram.ext import *
from telegram.request import HTTPXRequest

class OwnError(Exception):
    pass

class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")

unreachable = Bot("x")
unreachable._base_url = "http://127.0.0.1:9/bot1:x"

async def fail(update, context):
    match update.message.text.split()[1]:
        case "plain":
            raise OwnError("it broke 1001:" + "S" * 35)
        case "write":
            await update.message.reply_text("first")
            raise OwnError("after a write")
        case "typing":
            await update.message.chat.send_action("typing")
            await context.bot.get_chat(10)
            raise OwnError("after reading")
        case "flood":
            raise RetryAfter(17)
        case "flood_in_task":
            context.application.create_task(flood(), update=update)
        case "connect":
            await unreachable.send_message(1, "x")
        case "wrapped":
            try:
                await unreachable.send_message(1, "x")
            except NetworkError as error:
                raise OwnError("wrapped") from error
        case "bad":
            raise BadRequest("chat not found") from httpx.ConnectError("x")
        case "timeout":
            raise TimedOut from httpx.ReadTimeout("x")
        case "pool":
            raise TimedOut("pool") from httpx.PoolTimeout("x")
        case "own_http":
            raise httpx.ConnectError("not Telegram's")
        case "cancelled":
            task = asyncio.create_task(asyncio.Event().wait())
            task.cancel()
            await task
        case "wordless":
            raise Wordless
        case "stop":
            raise ApplicationHandlerStop

async def flood():
    raise RetryAfter(5)

async def second(update, context):
    await update.message.reply_text("second group")

app = Application.builder().build()
app.add_handler(CommandHandler("fail", fail))
app.add_handler(CommandHandler("fail", second, filters.Regex("stop|plain")), group=1)
"""

ERROR_HANDLERS = """
async def takes(update, context):
    print("taken", type(context.error).__name__)

async def raises(update, context):
    raise KeyError("in the error handler")

async def stops(update, context):
    raise ApplicationHandlerStop
"""

RUN = "\napp.run_polling()\n"

EXPECTED = {
    "plain": ("OwnError", None, False, False),
    "write": ("OwnError", None, False, True),
    "typing": ("OwnError", None, False, False),
    "flood": ("telegram.error.RetryAfter", 17.0, False, False),
    "flood_in_task": ("telegram.error.RetryAfter", 5.0, False, False),
    "connect": ("telegram.error.NetworkError", None, True, False),
    "wrapped": ("OwnError", None, True, False),
    "bad": ("telegram.error.BadRequest", None, False, False),
    "timeout": ("telegram.error.TimedOut", None, False, False),
    "pool": ("telegram.error.TimedOut", None, True, False),
    "own_http": ("httpx.ConnectError", None, False, False),
    "cancelled": ("asyncio.exceptions.CancelledError", None, False, False),
    "wordless": ("Wordless", None, False, False),
}


def test_exceptions_that_nobody_takes(start_bot):
    bot = start_bot(RAISES + RUN)
    bot.wait_ready()
    for kind, (error, retry_after_s, before_send, wrote) in EXPECTED.items():
        wrote = wrote or kind == "plain"
        seq = bot.say(f"/fail {kind}")
        failed = bot.wait_failed(seq)
        told = (failed.error, failed.retry_after_s, failed.before_send, failed.wrote)
        assert told == (error, retry_after_s, before_send, wrote), kind
        assert seq in bot.seqs(Begun)
        assert seq in bot.seqs(Released)
    bot.wait_processed(bot.say("hello"))
    assert bot.drain() == 0
    assert len(bot.all_said(Failed)) == len(EXPECTED)


def test_the_stack_names_the_line_and_hides_tokens(start_bot):
    bot = start_bot(RAISES + RUN)
    bot.wait_ready()
    failed = bot.wait_failed(bot.say("/fail plain"))
    assert failed.detail == "it broke 1001:<hidden>"
    assert "in fail\n" in failed.traceback
    assert "SSSS" not in failed.traceback.replace('"S" * 35', "")


def test_stopping_further_handlers_is_no_failure(start_bot, sent_texts):
    bot = start_bot(RAISES + RUN)
    bot.wait_ready()
    bot.wait_processed(bot.say("/fail stop"))
    assert sent_texts() == []


HANDLED = {
    "taken": ("app.add_error_handler(takes)", None),
    "taken by a task": ("app.add_error_handler(takes, block=False)", None),
    "one of two": ("app.add_error_handler(raises)\napp.add_error_handler(takes)", None),
    "one of two, tasks": (
        "app.add_error_handler(raises, block=False)\napp.add_error_handler(takes, block=False)",
        None,
    ),
    "stopped": ("app.add_error_handler(stops)\napp.add_error_handler(raises)", None),
    "raised": ("app.add_error_handler(raises)", "KeyError"),
    "raised in a task": ("app.add_error_handler(raises, block=False)", "KeyError"),
}


@pytest.mark.parametrize("how", HANDLED)
@pytest.mark.parametrize("kind", ["plain", "flood_in_task"])
def test_error_handlers(start_bot, how, kind):
    lines, error = HANDLED[how]
    bot = start_bot(RAISES + ERROR_HANDLERS + lines + RUN)
    bot.wait_ready()
    seq = bot.say(f"/fail {kind}")
    if error is None:
        bot.wait_processed(seq)
        assert bot.all_said(Failed) == []
    else:
        assert bot.wait_failed(seq).error == error
    assert bot.drain() == 0


def test_an_update_that_cannot_be_decoded_fails_and_the_next_is_served(start_bot):
    bot = start_bot("echo_bare.py")
    bot.wait_ready()
    broken = [b'{"update_id": 1, "message": {"date": 1}}', b"[]", b"\xff", b'{"update_id":' + b"[" * 20000]
    seqs = bot.deliver(*broken)
    for seq in seqs:
        bot.wait_failed(seq)
    assert bot.seqs(Begun) == seqs
    bot.wait_processed(bot.say("hello"))


def test_lone_surrogates_and_large_numbers_are_decoded(start_bot):
    bot = start_bot("echo_bare.py")
    bot.wait_ready()
    chat = b'{"id":10,"type":"private"}'
    seqs = bot.deliver(
        b'{"update_id":1,"message":{"message_id":1,"date":1,"chat":%s,"text":"\\ud800"}}' % chat,
        b'{"update_id":2,"message":{"message_id":1,"date":1,"chat":%s,"caption":"x","n":1e999}}' % chat,
    )
    bot.wait(lambda: set(seqs) <= {*bot.seqs(Processed), *(each.seq for each in bot.all_said(Failed))})
    assert seqs[1] in bot.seqs(Processed)
    assert all("decode" not in failed.traceback for failed in bot.all_said(Failed))


CONTEXTS = """
import logging.config
from telegram.ext import *

logging.config.dictConfig({"version": 1})

class Context(CallbackContext):
    @classmethod
    def from_update(cls, update, application):
        if "database away" in update.message.text:
            raise KeyError("no such row")
        return super().from_update(update, application)

    @classmethod
    def from_error(cls, update, error, application, job=None, coroutine=None):
        raise LookupError("nor here")

async def fail(update, context):
    raise ValueError("from the handler")

app = Application.builder().context_types(ContextTypes(context=Context)).build()
app.add_handler(MessageHandler(filters.TEXT, fail))
app.add_error_handler(fail)
app.run_polling()
"""


def test_an_update_whose_context_cannot_be_built_is_not_lost(start_bot):
    bot = start_bot(CONTEXTS)
    bot.wait_ready()
    assert bot.wait_failed(bot.say("database away")).error == "KeyError"
    assert bot.wait_failed(bot.say("hello")).detail == "from the handler"


EXITS = """
import asyncio, os, sys
from telegram.ext import *

async def leave(update, context):
    how = update.message.text.split()[1]
    if how == "exit":
        sys.exit(3)
    if how == "exec":
        os.execl(sys.executable, sys.executable, *sys.argv)
    os._exit(4)

app = Application.builder().build()
app.add_handler(CommandHandler("leave", leave))
app.run_polling()
print("run_polling came back")
"""


@pytest.mark.parametrize("how", ["exit", "exec"])
def test_a_handler_that_leaves_ends_the_bot_and_its_update(start_bot, how):
    bot = start_bot(EXITS)
    bot.wait_ready()
    seq = bot.say(f"/leave {how}")
    assert bot.wait_exit() == 0
    assert bot.seqs(Processed) == [seq]
    assert "run_polling came back" in bot.log


def test_a_handler_that_kills_its_process_is_known_to_have_begun(start_bot):
    bot = start_bot(EXITS)
    bot.wait_ready()
    seqs = bot.deliver(*(message(number, "/leave now") for number in (1, 2)))
    assert bot.wait_exit() == 4
    assert bot.seqs(Begun) == seqs[:1]
    assert bot.seqs(Processed) == []
