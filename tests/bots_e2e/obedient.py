"""A stock bot that does what a message tells it, and answers any other text with the same text.

Deeds are the first word, what they need is the rest: "hold PATH" answers once PATH exists, "exit 3" ends the
process, "raise WHY" fails. A bot of this kind lets a test say what happens in the middle of which update.
"""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, Message, Update
from telegram.ext import Application, CallbackQueryHandler, ContextTypes, MessageHandler, filters
from telegram.request import HTTPXRequest

import brama

PAUSE_S = 0.01
SLEEPER = "import time; time.sleep(600)"
leaked: list[bytearray] = []
asked: "dict[int, asyncio.Future[str]]" = {}


async def appear(path: str) -> None:
    while not Path(path).exists():  # noqa: ASYNC110 - what appears is a file
        await asyncio.sleep(PAUSE_S)


async def answer_then_hold(message: Message, path: str) -> None:
    await message.reply_text(f"answered before {Path(path).name}")
    await appear(path)


async def hold(message: Message, path: str) -> None:
    await appear(path)
    await message.reply_text(f"held until {Path(path).name}")


async def exit_at_once(_message: Message, code: str) -> None:
    os._exit(int(code))


async def exit_by_sys(_message: Message, code: str) -> None:
    sys.exit(int(code))


async def read_nowhere(_message: Message, _rest: str) -> None:
    ctypes.string_at(0)


async def fail(_message: Message, why: str) -> None:
    raise RuntimeError(why)


async def answer_then_fail(message: Message, why: str) -> None:
    await message.reply_text(f"about to fail: {why}")
    raise RuntimeError(why)


async def fail_until(message: Message, path: str) -> None:
    if not Path(path).exists():
        raise RuntimeError(f"{Path(path).name} is not there")
    await message.reply_text("it is there")


async def lock_the_interpreter(_message: Message, _rest: str) -> None:
    ctypes.PyDLL(None).sleep(600)  # a C function of a library that does not release the lock


async def ignore_the_end(message: Message, _rest: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await message.reply_text("let them come")
    sleep_on()


def sleep_on() -> None:
    while True:
        time.sleep(1)


async def block_until(message: Message, path: str) -> None:
    """Let nothing else run in this process until PATH exists."""
    await message.reply_text("blocking")
    sleep_until(path)


def sleep_until(path: str) -> None:
    while not Path(path).exists():
        time.sleep(PAUSE_S)


async def leak_fast(_message: Message, megabytes: str) -> None:
    leaked.append(bytearray(b"\1") * (int(megabytes) * 1024**2))


async def leak_slowly(message: Message, megabytes: str) -> None:
    for _ in range(int(megabytes)):
        leaked.append(bytearray(b"\1") * 1024**2)
        await asyncio.sleep(PAUSE_S)
    await message.reply_text(f"{megabytes} MB more")


async def raise_children(message: Message, _rest: str) -> None:
    await message.reply_text(" ".join(map(str, new_children())))


def new_children() -> list[int]:
    """Return the pids of new children of every kind, grandchildren among them."""
    executed = subprocess.Popen([sys.executable, "-c", SLEEPER])
    in_own_session = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    shell = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
    daemon = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    return [executed.pid, in_own_session.pid, int(daemon.stdout), fork(), fork_twice()]


def fork() -> int:
    if (pid := os.fork()) == 0:
        signal.pause()
    return pid


def fork_twice() -> int:
    """Return the pid of a grandchild whose parent has ended and whose session is its own."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.setsid()
        if (grandchild := os.fork()) == 0:
            signal.pause()
        os.write(writing, b"%d" % grandchild)
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reading, 20))


async def exit_until(message: Message, rest: str) -> None:
    code, path = rest.split()
    if not Path(path).exists():
        os._exit(int(code))
    await message.reply_text("still here")


async def roll_dice(message: Message, _rest: str) -> None:
    await message.reply_dice()


async def reply_impatiently(message: Message, text: str) -> None:
    await message.reply_text(text, read_timeout=0.3)


async def reply_by_proxy_until(message: Message, path: str) -> None:
    """Answer over a proxy that nobody serves, or directly once PATH exists."""
    bot = message.get_bot()
    proxy = None if Path(path).exists() else "http://127.0.0.1:1"
    client = Bot(bot.token, base_url=bot.base_url.removesuffix(bot.token), request=HTTPXRequest(proxy=proxy))
    async with client:
        await client.send_message(message.chat_id, "through")


async def tell_environment(message: Message, name: str) -> None:
    await message.reply_text(os.environ.get(name, "not set"))


async def tell_setting(message: Message, name: str) -> None:
    await message.reply_text(str(brama.settings().get(name, "not set")))


async def show_button(message: Message, text: str) -> None:
    await message.reply_text(
        text, reply_markup=InlineKeyboardMarkup([[InlineKeyboardButton("OK", callback_data="ok")]])
    )


async def try_to_read(message: Message, path: str) -> None:
    await message.reply_text(outcome_of_reading(path))


def outcome_of_reading(path: str) -> str:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        return str(error.strerror)
    return "readable"


async def knock(message: Message, pid: str) -> None:
    try:
        os.kill(int(pid), 0)
    except OSError as error:
        await message.reply_text(str(error.strerror))
    else:
        await message.reply_text("may be killed")


async def betray_the_token(message: Message, _rest: str) -> None:
    """Let the token into whatever a careless bot lets it into."""
    token = message.get_bot().token
    print(f"my token is {token}", flush=True)
    logging.getLogger("careless").info("my token is %s", token)
    raise RuntimeError(f"https://api.telegram.org/bot{token}/getMe failed")


async def write_to_log(message: Message, text: str) -> None:
    print(text, flush=True)
    await message.reply_text("written")


DEEDS = {
    "answer-then-fail": answer_then_fail,
    "answer-then-hold": answer_then_hold,
    "betray": betray_the_token,
    "block-until": block_until,
    "button": show_button,
    "children": raise_children,
    "by-proxy-until": reply_by_proxy_until,
    "dice": roll_dice,
    "environment": tell_environment,
    "exit": exit_at_once,
    "exit-until": exit_until,
    "fail-until": fail_until,
    "hold": hold,
    "ignore-the-end": ignore_the_end,
    "impatiently": reply_impatiently,
    "knock": knock,
    "leak-fast": leak_fast,
    "leak-slowly": leak_slowly,
    "lock": lock_the_interpreter,
    "log": write_to_log,
    "raise": fail,
    "read": try_to_read,
    "segfault": read_nowhere,
    "setting": tell_setting,
    "sys-exit": exit_by_sys,
}


async def obey(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    message = update.effective_message
    assert message is not None
    text = message.text or ""
    if future := asked.pop(message.chat_id, None):
        future.set_result(text)
        return
    word, _, rest = text.partition(" ")
    if deed := DEEDS.get(word):
        await deed(message, rest)
    else:
        await message.reply_text(text[:100])


async def ask(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    """Wait for the next message of the chat: not to be awaited by the application."""
    message = update.effective_message
    assert message is not None
    asked[message.chat_id] = asyncio.get_running_loop().create_future()
    await message.reply_text("your name?")
    await message.reply_text(f"hello {await asked[message.chat_id]}")


async def press(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    query = update.callback_query
    assert query is not None
    await query.answer()
    await query.get_bot().send_message(query.from_user.id, f"pressed {query.data}")


def main() -> None:
    if "talkative" in sys.argv:
        logging.basicConfig(level=logging.DEBUG)
    application = Application.builder().token("the supervisor knows").build()
    application.add_handler(MessageHandler(filters.Text(["ask"]), ask, block=False))
    application.add_handler(MessageHandler(filters.TEXT, obey))
    application.add_handler(CallbackQueryHandler(press))
    application.run_polling()


if __name__ == "__main__":
    main()
