"""Settings reach the bot at its start and while it runs, in two places, and stay out of its saved state."""

import pickle

from brama.messages import SettingsChanged

SCRIPT = """
import brama
from telegram.ext import *

@brama.on_settings_change
async def changed(settings):
    await app.bot.send_message(10, f"changed to {settings['greeting']}")

@brama.on_settings_change
def fails(settings):
    raise ValueError("callback")

async def post_init(app):
    print("at start", app.bot_data["settings"]["greeting"], dict(brama.settings()))

async def greet(update, context):
    context.bot_data["seen"] = True
    await update.message.reply_text(brama.settings()["greeting"] + context.bot_data["settings"]["greeting"])
    try:
        context.bot_data["settings"]["greeting"] = "mine"
    except TypeError as error:
        print(error)

app = Application.builder().persistence(PicklePersistence("state")).post_init(post_init).build()
app.add_handler(MessageHandler(filters.TEXT, greet))
app.run_polling()
"""

OWN_KEY = """
import brama
from telegram.ext import *

async def greet(update, context):
    context.bot_data.setdefault("settings", {})["own"] = 1

app = Application.builder().persistence(PicklePersistence("state")).build()
app.add_handler(MessageHandler(filters.TEXT, greet))
app.run_polling()
"""


def test_settings_are_live_and_not_saved(start_bot, api, token, sent_texts, tmp_path):
    bot = start_bot(SCRIPT, settings={"greeting": "hello"})
    bot.wait_ready()
    assert "at start hello {'greeting': 'hello'}" in bot.log
    bot.wait_processed(bot.say("hi"))
    bot.send(SettingsChanged({"greeting": "ciao"}))
    api.control.sent(int(token.partition(":")[0]), wait_s=20, count=2)
    bot.wait_processed(bot.say("hi"))
    assert sent_texts() == ["hellohello", "changed to ciao", "ciaociao"]
    assert bot.notice("settings_callback")
    assert "bot_data['settings'] is read-only" in bot.log
    assert bot.drain() == 0
    assert pickle.loads((tmp_path / "state").read_bytes())["bot_data"] == {"seen": True}


def test_a_bots_own_settings_key_is_left_alone(start_bot, tmp_path):
    bot = start_bot(OWN_KEY)
    bot.wait_ready()
    bot.wait_processed(bot.say("hi"))
    assert bot.drain() == 0
    saved = pickle.loads((tmp_path / "state").read_bytes())["bot_data"]
    assert saved == {"settings": {"own": 1}}

    bot = start_bot(OWN_KEY, settings={"greeting": "hello"})
    bot.wait_ready()
    assert "brama.settings()" in bot.notice("settings_in_bot_data")
    bot.wait_processed(bot.say("hi"))
    assert bot.drain() == 0
    assert pickle.loads((tmp_path / "state").read_bytes())["bot_data"] == saved
