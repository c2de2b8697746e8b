"""What python-telegram-bot offers beyond handlers works as without a supervisor."""

import json

from brama.messages import Failed, Processed, Ready


def press(update_id: int, data: str, sent: dict[str, object]) -> bytes:
    """Return the update that a press on a button of a message the bot has sent makes."""
    user = {"id": 10, "is_bot": False, "first_name": "Ann"}
    own = {"id": 1001, "is_bot": True, "first_name": "Zoo", "username": "zoo_bot"}
    message = {
        "message_id": 5,
        "date": 1_700_000_000,
        "chat": {"id": 10, "type": "private"},
        "from": own,
    } | sent
    query = {"id": "1", "from": user, "chat_instance": "1", "data": data, "message": message}
    return json.dumps({"update_id": update_id, "callback_query": query}).encode()


def test_everything_at_once(start_bot, api, token, sent_texts):
    number = int(token.partition(":")[0])
    bot = start_bot("everything.py")
    assert bot.wait_ready() == Ready(["message", "callback_query"], 256, False)
    bot.wait_processed(bot.say("/start"))
    (call,) = api.control.sent(number)
    assert call.params["parse_mode"] == "HTML"
    markup = call.params["reply_markup"]
    markup = json.loads(markup) if isinstance(markup, str) else markup
    data = markup["inline_keyboard"][0][0]["callback_data"]
    assert data != "('buy', {'id': 7})"
    shown = {"text": "shop", "reply_markup": markup}
    bot.wait_processed(*bot.deliver(press(2, data, shown)), *bot.deliver(press(3, "unknown", shown)))
    assert sorted(sent_texts()[1:]) == ["buy 7 click 1", "expired"]
    assert "my shop sees 3" in bot.log


def test_jobs_run_and_their_failures_are_no_updates(start_bot, api, token, sent_texts):
    bot = start_bot("everything.py")
    bot.wait_ready()
    bot.wait_processed(bot.say("/remind later"), bot.say("/remind fail"))
    api.control.sent(int(token.partition(":")[0]), wait_s=20, count=2)
    assert sorted(sent_texts()) == ["alarm fail", "alarm later"]
    bot.wait_processed(bot.say("/remind more"))
    assert bot.drain() == 0
    assert bot.all_said(Failed) == []
    assert "ValueError: in a job" in bot.log


CALLS = """
import asyncio
from telegram.ext import *

async def post_init(app):
    bot = app.bot
    print(await bot.delete_webhook(drop_pending_updates=True), await bot.get_updates(), await bot.close())
    print(await bot.set_webhook("https://x.example"), (await bot.get_webhook_info()).url, await bot.log_out())
    print(await bot.do_api_request("SetWebhook", api_kwargs={"url": ""}), (await bot.get_me()).username)

app = Application.builder().post_init(post_init).build()
app.run_polling()
"""


def test_calls_that_disturb_ingress_never_leave(start_bot, api, token):
    bot = start_bot(CALLS)
    bot.wait_ready()
    assert "True () True\nTrue https://x.example True\nTrue zoo_bot\n" in bot.log
    calls = {str(info.bot): info for info in api.control.bots()}.get(token.partition(":")[0])
    assert calls is None or not calls.seen
    for code in ("delete_webhook", "set_webhook", "get_updates", "close", "log_out", "drop_pending_updates"):
        assert bot.notice(code)


def test_get_me_asks_telegram_once_the_bot_serves(start_bot, api, token, sent_texts):
    script = """
from telegram.ext import *

async def who(update, context):
    await update.message.reply_text((await context.bot.get_me()).username)

app = Application.builder().build()
app.add_handler(MessageHandler(filters.TEXT, who))
app.run_polling()
"""
    username = api.control.add_bot(token).username
    assert username != "zoo_bot"
    bot = start_bot(script)
    bot.wait_ready()
    bot.wait_processed(bot.say("who"))
    assert sent_texts() == [username]


MISUSE = """
import asyncio
from telegram.ext import *

async def callback(error):
    pass

async def attempt(what):
    try:
        await what
    except (RuntimeError, TypeError) as error:
        print(type(error).__name__, error)

async def main():
    app = Application.builder().build()
    await attempt(app.updater.start_polling())
    async with app:
        await attempt(app.updater.start_polling(error_callback=callback))
        await app.start()
        await app.updater.start_polling()
        await attempt(app.updater.start_polling())
        print("said", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_misuse_of_an_updater_is_refused_as_always(start_bot):
    bot = start_bot(MISUSE)
    bot.wait(lambda: "said" in bot.log)
    assert bot.log.splitlines()[:3] == [
        "RuntimeError This Updater was not initialized via `Updater.initialize`!",
        "TypeError The `error_callback` must not be a coroutine function! Use an ordinary function instead. ",
        "RuntimeError This Updater is already running!",
    ]


RESTARTS = """
import os, sys, threading
from telegram.ext import *

def restart():
    os.execl(sys.executable, sys.executable, *sys.argv)

async def handler(update, context):
    threading.Thread(target=restart).start()

app = Application.builder().build()
app.add_handler(CommandHandler("restart", handler))
app.run_polling()
"""


def test_a_restart_from_a_thread_ends_the_worker(start_bot):
    bot = start_bot(RESTARTS)
    bot.wait_ready()
    seq = bot.say("/restart")
    assert bot.wait_exit() == 0
    assert bot.seqs(Processed) == [seq]
    assert "supervisor" in bot.notice("exec")
