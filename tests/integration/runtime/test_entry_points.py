"""A script finds the world as under ``python script.py``; an app is built from what its function gives."""

import pytest

ECHO = """
from telegram.ext import Application, ApplicationBuilder, MessageHandler, filters

async def echo(update, context):
    await update.message.reply_text(f"echo {update.message.text}")

HANDLER = MessageHandler(filters.TEXT, echo)
"""

LOOKS_AROUND = f"""{ECHO}
import argparse, os, sys, helper

parser = argparse.ArgumentParser()
parser.add_argument("--greeting", default="none")
print(parser.parse_args())
print([__name__, sys.argv[0] == __file__, sys.path[0] == os.path.dirname(__file__), os.getcwd()])
print(open("words.txt").read(), helper.NAME, sys.modules["__main__"].echo is echo)
app = ApplicationBuilder().token("x").build()
app.add_handler(HANDLER)
app.run_polling()
"""

READS_ENVIRONMENT = f"""{ECHO}
import os
from pathlib import Path

for line in Path(".env").read_text().splitlines():
    name, _, value = line.partition("=")
    os.environ.setdefault(name, value)
app = ApplicationBuilder().token(os.environ["BOT_TOKEN"]).build()
app.add_handler(MessageHandler(filters.TEXT, lambda u, c: u.message.reply_text(os.environ["GREETING"])))
app.run_polling()
"""

THREE_BOTS = """
import telegram
from telegram.ext import ApplicationBuilder

TOKEN = {token}
early = telegram.Bot(TOKEN)
app = ApplicationBuilder().token(TOKEN).base_url("https://elsewhere.example/bot").build()
late = telegram.Bot(TOKEN, "https://elsewhere.example/bot")

async def post_init(app):
    for bot in (early, app.bot, late):
        await bot.send_message(10, str(bot.token == app.bot.token))

app.post_init = post_init
app.run_polling()
"""

ALERTS = """
import telegram
from telegram.ext import ApplicationBuilder, MessageHandler, filters

alerts = telegram.Bot("{alert_token}")
app = ApplicationBuilder().token("9999:" + "A" * 35).build()

async def alert(update, context):
    async with alerts:
        await alerts.send_message(10, "alert")
    await update.message.reply_text("told")

app.add_handler(MessageHandler(filters.TEXT, alert))
app.run_polling()
"""

ALERT_APPLICATION = """
from telegram.ext import ApplicationBuilder, MessageHandler, filters

alerts = ApplicationBuilder().token("{alert_token}").build()
app = ApplicationBuilder().token({token}).build()

async def alert(update, context):
    await alerts.initialize()
    await alerts.bot.send_message(10, "alert")
    await update.message.reply_text("told")

app.add_handler(MessageHandler(filters.TEXT, alert))
app.run_polling()
"""

PICKLES = f"""{ECHO}
import dataclasses, pickle

@dataclasses.dataclass
class State:
    count: int = 3

data = pickle.dumps(State())
print(b"__main__" in data, pickle.loads(data))
ApplicationBuilder().build().run_polling()
"""


def test_a_script_sees_its_arguments_folder_and_guard(start_bot, tmp_path):
    (tmp_path / "words.txt").write_text("from a relative file")
    (tmp_path / "helper.py").write_text("NAME = 'a module beside the script'")
    bot = start_bot(LOOKS_AROUND, args=["--greeting", "hi"])
    bot.wait_ready()
    assert "Namespace(greeting='hi')" in bot.log
    assert f"['__main__', True, True, '{tmp_path}']" in bot.log
    assert "from a relative file a module beside the script True" in bot.log


def test_a_script_reads_its_token_from_the_environment_and_dotenv(start_bot, sent_texts, token, tmp_path):
    (tmp_path / ".env").write_text("GREETING=from dotenv\nBOT_TOKEN=another\n")
    bot = start_bot(READS_ENVIRONMENT, environment={"BOT_TOKEN": token})
    bot.wait_ready()
    bot.wait_processed(bot.say("hello"))
    assert sent_texts() == ["from dotenv"]


@pytest.mark.parametrize("given", ["'8888:' + 'B' * 35", "'YOUR TOKEN'", "None", "''"])
def test_the_token_is_the_supervisors_whatever_the_script_says(start_bot, sent_texts, given):
    bot = start_bot(THREE_BOTS.format(token=given))
    bot.wait_ready()
    assert sent_texts() == ["True", "True", "True"]


def test_a_builder_without_a_token_gets_one(start_bot):
    start_bot(f"{ECHO}\nApplicationBuilder().build().run_polling()\n").wait_ready()


def test_a_second_bot_with_another_token_keeps_it(start_bot, api, sent_texts):
    bot = start_bot(ALERTS.format(alert_token=api.token(777)))
    bot.wait_ready()
    bot.wait_processed(bot.say("fire"))
    assert sent_texts() == ["told"]
    assert [call.params["text"] for call in api.control.sent(777)] == ["alert"]


@pytest.mark.parametrize("given", ["own", "'8888:' + 'B' * 35"])
def test_a_second_application_that_only_sends_keeps_its_token(start_bot, api, sent_texts, token, given):
    given = repr(token) if given == "own" else given
    before = len(api.control.sent(778))
    bot = start_bot(ALERT_APPLICATION.format(alert_token=api.token(778), token=given))
    bot.wait_ready()
    bot.wait_processed(bot.say("fire"))
    assert sent_texts() == ["told"]
    assert [call.params["text"] for call in api.control.sent(778)[before:]] == ["alert"]


def test_classes_of_a_script_pickle(start_bot):
    bot = start_bot(PICKLES)
    bot.wait_ready()
    assert "True State(count=3)" in bot.log


APPS = {
    "builder": """
def build():
    return ApplicationBuilder().post_init(hook)
""",
    "application": """
def build():
    return ApplicationBuilder().token("1").post_init(hook).build()
""",
    "optional arguments": """
def build(name="x", *, more=None):
    return ApplicationBuilder().post_init(hook)
""",
    "async": """
async def build():
    return ApplicationBuilder().post_init(hook)
""",
    "register": """
def build(application):
    application.post_init = hook
""",
    "async register": """
async def build(application):
    application.post_init = hook
""",
    "instance": """
build = ApplicationBuilder().post_init(hook).build()
""",
    "runs by itself": """
def build():
    ApplicationBuilder().post_init(hook).build().run_polling()
""",
    "method": """
class Factory:
    def make(self):
        return ApplicationBuilder().post_init(hook)

build = Factory().make
""",
}

HOOK = """
async def hook(application):
    application.add_handler(HANDLER)
"""


@pytest.mark.parametrize("shape", APPS)
def test_app_of_each_shape(start_bot, sent_texts, tmp_path, shape):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bot.py").write_text(ECHO + HOOK + APPS[shape])
    (tmp_path / "elsewhere").mkdir()
    bot = start_bot("shop.bot:build", kind="app", cwd=str(tmp_path / "elsewhere"))
    bot.wait_ready()
    bot.wait_processed(bot.say("hello"))
    assert sent_texts() == ["echo hello"]
    assert bot.drain() == 0
