"""What larger bots use: conversations, jobs, persistence, callback data, rate limits, concurrency, hooks.

Runs in: zygote, as a script.
"""

import asyncio
from typing import Any

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.ext import (
    AIORateLimiter,
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


async def nothing(*_: Any) -> None:
    """Do what a hook, a job or a handler does at least."""


async def enter(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    """Begin a conversation and set jobs."""
    assert update.message is not None
    assert context.job_queue is not None
    buttons = InlineKeyboardMarkup([[InlineKeyboardButton("one", callback_data=("one", 1))]])
    await update.message.reply_text("hello", reply_markup=buttons)
    ran = asyncio.Event()

    async def job(_: ContextTypes.DEFAULT_TYPE) -> None:
        ran.set()

    context.job_queue.run_once(job, 0)
    context.job_queue.run_repeating(nothing, 60)
    await ran.wait()
    return 1


async def leave(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    """End the conversation."""
    assert update.message is not None
    await update.message.reply_text("bye")
    context.bot_data["last"] = update.update_id
    return ConversationHandler.END


async def echo(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
    """Answer beside other handlers."""
    assert update.message is not None
    await update.message.reply_text("again")


def main() -> None:
    """Run until told to end."""
    application = (
        ApplicationBuilder()
        .token("1:replaced")
        .concurrent_updates(True)
        .arbitrary_callback_data(True)
        .rate_limiter(AIORateLimiter(overall_max_rate=10_000))
        .persistence(DictPersistence())
        .defaults(Defaults(parse_mode="HTML"))
        .post_init(nothing)
        .post_stop(nothing)
        .post_shutdown(nothing)
        .build()
    )
    application.add_handler(
        ConversationHandler(
            entry_points=[CommandHandler("start", enter)],
            states={1: [MessageHandler(filters.TEXT & ~filters.COMMAND, leave)]},
            fallbacks=[CommandHandler("cancel", leave)],
            name="warm",
            persistent=True,
            conversation_timeout=60,
            allow_reentry=True,
        )
    )
    application.add_handler(MessageHandler(filters.PHOTO | filters.Regex(r"^\d+$"), echo, block=False))
    application.add_handler(CallbackQueryHandler(nothing, pattern=r"^\w+$"))
    application.add_handler(InlineQueryHandler(nothing))
    application.add_error_handler(nothing)
    application.run_polling()


if __name__ == "__main__":
    main()
