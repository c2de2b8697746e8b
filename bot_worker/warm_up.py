"""Runs a bot in the zygote, so that everything a first update touches is in memory all workers share.

Imports alone are not enough: HTTP clients, parsers, handlers and the interpreter itself build caches the
first time they are used; built before the fork they are built once ([m] 5 MB for each worker).

Runs in: zygote.
"""

import asyncio
import importlib
import json
import logging
import sys
import threading
import traceback
import warnings
from typing import Any

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    ReplyKeyboardMarkup,
    Update,
)
from telegram.error import BadRequest
from telegram.ext import (
    AIORateLimiter,
    Application,
    ApplicationBuilder,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    ConversationHandler,
    Defaults,
    DictPersistence,
    InlineQueryHandler,
    MessageHandler,
    filters,
)

from bot_worker import linux
from bot_worker.stub_api import BOT, CHAT, REFUSED_TEXT, stub_api
from brama.errors import ZygoteError

#: What bots use and python-telegram-bot does not import, of the standard library and our dependencies.
_COMMON_MODULES = (
    "apscheduler.schedulers.asyncio", "argparse", "csv", "dataclasses", "decimal", "difflib",
    "encodings.idna", "fractions", "getpass", "glob", "gzip", "html", "http.client", "http.cookies",
    "io", "logging.handlers", "mimetypes", "pathlib", "pickle", "platform", "pprint", "queue", "random",
    "runpy", "secrets", "shelve", "shlex", "shutil", "sqlite3", "statistics", "subprocess", "tempfile",
    "textwrap", "tzlocal", "unicodedata", "urllib.request", "uuid", "xml.etree.ElementTree", "zoneinfo",
)  # fmt: skip

#: Updates of each kind that pass; the interpreter specialises code it has run a few times.
ROUNDS = 12

_TOKEN = "1:no-bot-has-this-token"
_USER = {"id": 10, "is_bot": False, "first_name": "Warm", "language_code": "en"}


def warm_up() -> None:
    """Import what bots use and let bots of each common shape process updates over real HTTP.

    Leaves no thread, event loop, file or socket behind. Where 127.0.0.1 cannot be used the traffic is left
    out, said on standard error: workers are then larger, nothing else.

    Raises:
        ZygoteError: python-telegram-bot does not work as installed, or something stayed behind.
    """
    for name in _COMMON_MODULES:
        importlib.import_module(name)
    files_before = set(linux.open_files())
    threshold = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asyncio.run(_traffic())
    except OSError as error:
        sys.stderr.write(f"brama: zygote: no warm-up traffic, workers will be larger: {error}\n")
    except Exception as error:
        text = str(error).partition("\n")[0]
        raise ZygoteError(f"python-telegram-bot does not run here: {type(error).__name__}: {text}") from error
    finally:
        logging.disable(threshold)
        asyncio.set_event_loop_policy(None)  # a bot finds asyncio as in a fresh interpreter
    _check_nothing_left(files_before)


def _check_nothing_left(files_before: set[int]) -> None:
    left = [f"thread {thread.name}" for thread in threading.enumerate()[1:]]
    left += [what for fd, what in linux.open_files().items() if fd not in files_before]
    if left or linux.task_count() > 1:
        raise ZygoteError(f"the warm-up left {', '.join(left) or 'a thread'} behind")


async def _traffic() -> None:
    async with stub_api() as base_url:
        await _run(_plain_bot(base_url))
        await _run(_bot_with_everything(base_url))


async def _run(application: Application[Any, Any, Any, Any, Any, Any]) -> None:
    """Process each kind of update ROUNDS times, through the application's own queue."""
    async with application:
        await application.start()
        for number in range(ROUNDS):
            for raw in _updates(number):
                await application.update_queue.put(Update.de_json(json.loads(raw), application.bot))
            await application.update_queue.join()
        await application.stop()


def _plain_bot(base_url: str) -> Application[Any, Any, Any, Any, Any, Any]:
    """The shape most bots have."""
    application = ApplicationBuilder().token(_TOKEN).base_url(base_url).build()
    application.add_handler(CommandHandler("start", _start))
    application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, _echo))
    application.add_handler(CallbackQueryHandler(_pressed))
    application.add_error_handler(_on_error)
    return application


def _bot_with_everything(base_url: str) -> Application[Any, Any, Any, Any, Any, Any]:
    """Conversations, jobs, persistence, callback data, rate limits, concurrency."""
    application = (
        ApplicationBuilder()
        .token(_TOKEN)
        .base_url(base_url)
        .concurrent_updates(True)
        .arbitrary_callback_data(True)
        .rate_limiter(AIORateLimiter(overall_max_rate=10_000))
        .persistence(DictPersistence(update_interval=0.05))
        .defaults(Defaults(parse_mode="HTML"))
        .post_init(_nothing)
        .post_stop(_nothing)
        .post_shutdown(_nothing)
        .build()
    )
    application.add_handler(
        ConversationHandler(
            entry_points=[CommandHandler("start", _enter)],
            states={1: [MessageHandler(filters.TEXT & ~filters.COMMAND, _leave)]},
            fallbacks=[CommandHandler("cancel", _leave)],
            name="warm",
            persistent=True,
            conversation_timeout=60,
            allow_reentry=True,
        )
    )
    application.add_handler(MessageHandler(filters.PHOTO | filters.Regex(r"^\d+$"), _echo, block=False))
    application.add_handler(CallbackQueryHandler(_pressed, pattern=r"^\w+$"))
    application.add_handler(InlineQueryHandler(_nothing))
    application.add_error_handler(_on_error)
    return application


async def _nothing(*_: Any) -> None:
    pass


async def _start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    buttons = InlineKeyboardMarkup([[InlineKeyboardButton("one", callback_data="one")]])
    await update.message.reply_text("hello", reply_markup=buttons)
    await update.message.reply_html(
        "<b>hello</b>", reply_markup=ReplyKeyboardMarkup([[KeyboardButton("yes")]], resize_keyboard=True)
    )
    await context.bot.send_message(update.message.chat_id, REFUSED_TEXT)


async def _echo(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    await context.bot.send_chat_action(update.message.chat_id, "typing")
    await update.message.reply_text(update.message.text or "no text")
    await update.message.reply_document(b"some bytes", filename="warm.txt")
    assert context.user_data is not None
    context.user_data["count"] = context.user_data.get("count", 0) + 1
    context.bot_data["last"] = update.update_id


async def _pressed(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.callback_query is not None
    await update.callback_query.answer()
    await update.callback_query.edit_message_text("pressed")


async def _enter(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    assert update.message is not None
    buttons = InlineKeyboardMarkup([[InlineKeyboardButton("one", callback_data=("one", 1))]])
    await update.message.reply_text("hello", reply_markup=buttons)
    if context.job_queue is not None:
        context.job_queue.run_once(_nothing, 0)
        context.job_queue.run_repeating(_nothing, 60)
    return 1


async def _leave(update: Update, _: ContextTypes.DEFAULT_TYPE) -> int:
    assert update.message is not None
    await update.message.reply_text("bye")
    return ConversationHandler.END


async def _on_error(_: object, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Format what a bot's log would show; the stub's own refusal is expected, nothing else is."""
    error = context.error
    assert error is not None
    "".join(traceback.format_exception(error))
    if not isinstance(error, BadRequest):
        raise error


def _updates(number: int) -> list[bytes]:
    """Return one update of each common kind as the JSON that Telegram sends."""
    message = {"message_id": number, "date": 1700000000, "chat": CHAT, "from": _USER}
    command = {"type": "bot_command", "offset": 0, "length": 6}
    photo = {"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}
    own = message | {"from": BOT, "text": "hello"}
    bodies: list[dict[str, Any]] = [
        {"message": message | {"text": "/start", "entities": [command]}},
        {"message": message | {"text": "hello wörld"}},
        {"message": message | {"text": "123", "reply_to_message": own}},
        {"edited_message": message | {"text": "hello again", "edit_date": 1700000001}},
        {"message": message | {"photo": [photo], "caption": "a picture"}},
        {"callback_query": {"id": "1", "from": _USER, "chat_instance": "1", "data": "one", "message": own}},
        {"inline_query": {"id": "1", "from": _USER, "query": "", "offset": ""}},
    ]
    return [
        json.dumps({"update_id": number * 10 + index} | body).encode() for index, body in enumerate(bodies)
    ]
