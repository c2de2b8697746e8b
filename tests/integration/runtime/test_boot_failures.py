"""A bot that cannot start says why, in one line, with the exit code that decides what happens next."""

import pytest

from brama.messages import BootFailed, Ready

#: Nothing listens there.
NOWHERE = "http://127.0.0.1:9"

FAILURES = {
    "import": (
        """import os
import no_such_module
""",
        ("import", 78, "ModuleNotFoundError: No module named 'no_such_module' (bot.py:2)"),
    ),
    "syntax": (
        """x = 1
if True print()
""",
        ("import", 78, "SyntaxError: invalid syntax (bot.py, line 2)"),
    ),
    "build": (
        """
raise ValueError("bad\\nthing")
""",
        ("build", 78, "ValueError: bad (bot.py:2)"),
    ),
    "key": (
        """import os
os.environ["DB"]
""",
        ("build", 78, "KeyError: 'DB' (bot.py:2)"),
    ),
    "own error": (
        """class Oops(Exception): pass
raise Oops
""",
        ("build", 78, "Oops (bot.py:2)"),
    ),
    "network": (
        """
from telegram.ext import ApplicationBuilder

async def hook(app):
    await app.bot.set_my_commands([])

ApplicationBuilder().post_init(hook).build().run_polling()
""",
        ("network", 75, "telegram.error.NetworkError: httpx.ConnectError"),
    ),
    "database away": (
        """import socket
socket.create_connection(("127.0.0.1", 9))
""",
        ("network", 75, "ConnectionRefusedError: [Errno 111] Connection refused (bot.py:2)"),
    ),
    "in a task group": (
        """
import asyncio
from telegram.error import TimedOut

async def fail():
    raise TimedOut

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())

asyncio.run(main())
""",
        ("network", 75, "telegram.error.TimedOut: Timed out"),
    ),
    "bad request": (
        """from telegram.error import BadRequest
raise BadRequest("no chat")
""",
        ("build", 78, "telegram.error.BadRequest: no chat (bot.py:2)"),
    ),
}

TOO_SHORT = {
    "returned": """
x = 1
""",
    "sys.exit()": """
import sys
sys.exit()
""",
    "stopped in post_init": """
from telegram.ext import ApplicationBuilder

async def hook(app):
    app.stop_running()

ApplicationBuilder().post_init(hook).build().run_polling()
""",
    "bare updater": """
import asyncio, telegram
from telegram.ext import Updater

async def main():
    async with Updater(telegram.Bot("x"), asyncio.Queue()) as updater:
        await updater.start_polling()
        await updater.stop()

asyncio.run(main())
""",
}

TWO = """
import asyncio
from telegram.ext import ApplicationBuilder

async def main():
    for token in ("1111:" + "a" * 35, "2222:" + "b" * 35):
        app = ApplicationBuilder().token(token).build()
        await app.initialize()
        await app.start()
        await app.updater.start_polling()
    await asyncio.Event().wait()

asyncio.run(main())
"""

FORKS = """
import multiprocessing
from telegram.ext import ApplicationBuilder

def run(token):
    ApplicationBuilder().token(token).build().run_polling()

processes = [multiprocessing.get_context("fork").Process(target=run, args=(t * 40,)) for t in "ab"]
for process in processes:
    process.start()
for process in processes:
    process.join()
"""

SETS_COMMANDS = """
from telegram.ext import ApplicationBuilder

async def hook(app):
    await app.bot.set_my_commands([("start", "begin")])

ApplicationBuilder().post_init(hook).build().run_polling()
"""

FAILS_LATER = """
import asyncio
from telegram.ext import ApplicationBuilder

async def main():
    app = ApplicationBuilder().build()
    await app.initialize()
    await app.start()
    await app.updater.start_polling()
    raise ValueError("later")

asyncio.run(main())
"""


@pytest.mark.parametrize("name", FAILURES)
def test_the_reason_is_named(start_bot, name):
    script, (cause, code, detail) = FAILURES[name]
    bot = start_bot(script, base_url=NOWHERE)
    failure, exit_code = bot.wait_boot_failed()
    assert (failure.cause, exit_code) == (cause, code)
    assert detail in failure.detail
    assert bot.said[-1] is failure
    assert "Traceback" in bot.log or "SyntaxError" in bot.log
    assert "bot_worker/runtime/entry.py" not in bot.log


@pytest.mark.parametrize("name", TOO_SHORT)
def test_a_script_that_ends_before_it_polls_has_no_application(start_bot, name):
    failure, code = start_bot(TOO_SHORT[name]).wait_boot_failed()
    assert (failure.cause, code) == ("no_application", 78)


def test_two_applications_that_poll_are_refused(start_bot):
    failure, code = start_bot(TWO).wait_boot_failed()
    assert (failure.cause, code) == ("two_applications", 78)


def test_bots_in_processes_of_the_script_are_refused(start_bot):
    bot = start_bot(FORKS)
    failure = bot.wait_said(BootFailed)
    assert failure.cause == "two_applications"
    assert "forked" in failure.detail
    assert bot.wait_exit() == 78
    assert bot.all_said(Ready) == []


def test_a_rejected_token_is_named_and_not_shown(start_bot, api, token):
    api.control.add_bot(token)
    api.control.revoke(int(token.partition(":")[0]))
    failure, code = start_bot(SETS_COMMANDS).wait_boot_failed()
    assert (failure.cause, code) == ("token", 78)
    assert token.partition(":")[2] not in failure.detail


def test_the_exit_code_of_a_script_is_kept(start_bot):
    bot = start_bot("import sys\nsys.exit(7)\n")
    assert bot.wait_exit() == 7
    assert bot.all_said(BootFailed) == []


def test_sys_exit_with_a_text_prints_it(start_bot):
    bot = start_bot("import sys\nsys.exit('set BOT_TOKEN first')\n")
    assert bot.wait_exit() == 1
    assert "set BOT_TOKEN first" in bot.log


def test_an_exception_after_ready_is_exit_code_1(start_bot):
    bot = start_bot(FAILS_LATER)
    assert bot.wait_exit() == 1
    assert bot.all_said(Ready)
    assert bot.all_said(BootFailed) == []
    assert "ValueError: later" in bot.log


ENTRIES = {
    "missing script": ("script", "gone.py", "import", "gone.py cannot be read: No such file or directory"),
    "missing module": ("app", "gone:build", "import", "ModuleNotFoundError: No module named 'gone'"),
    "missing function": ("app", "shop:gone", "import", "app shop:gone: module shop has no gone"),
    "two arguments": ("app", "shop:two", "import", "wants first, second"),
    "returns a number": ("app", "shop:number", "import", "gave int; it must return an Application"),
    "raises": ("app", "shop:fails", "build", "ZeroDivisionError: division by zero (shop.py:3)"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_points_that_do_not_work(start_bot, tmp_path, name):
    kind, entry, cause, detail = ENTRIES[name]
    functions = "def two(first, second): ...\ndef number(): return 1\ndef fails(): return 1 / 0\n"
    (tmp_path / "shop.py").write_text(functions)
    bot = start_bot("", kind=kind, entry=entry if kind == "app" else str(tmp_path / entry))
    failure, code = bot.wait_boot_failed()
    assert (failure.cause, code) == (cause, 78)
    assert detail in failure.detail


def test_a_working_directory_that_is_gone(start_bot, tmp_path):
    failure, code = start_bot("echo_bare.py", cwd=str(tmp_path / "gone")).wait_boot_failed()
    assert (failure.cause, code) == ("config", 78)
    assert "correct cwd" in failure.detail
