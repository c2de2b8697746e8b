# mypy: ignore-errors
"""The persistent conversation of the examples: nested, with a timeout, in a pickle file beside the script."""

import sys

from telegram import Update
from telegram.ext import (
    Application,
    CommandHandler,
    ContextTypes,
    ConversationHandler,
    MessageHandler,
    PicklePersistence,
    filters,
)

ASK, DETAIL, INNER = range(3)
TEXT = filters.TEXT & ~filters.COMMAND


async def begin(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    count = context.user_data["count"] = context.user_data.get("count", 0) + 1
    await update.message.reply_text(f"conversation {count}")
    return ASK


async def ask(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    context.chat_data.setdefault("answers", []).append(update.message.text)
    context.bot_data["last"] = update.message.text
    await update.message.reply_text("noted " + " ".join(context.chat_data["answers"]))
    return ASK


async def enter_inner(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    await update.message.reply_text("inner")
    return INNER


async def inner(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    await update.message.reply_text(f"inner {update.message.text}")
    return INNER


async def leave_inner(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    await update.message.reply_text("back")
    return ConversationHandler.END


async def end(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    await update.message.reply_text("the end")
    return ConversationHandler.END


async def timed_out(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    await update.message.reply_text("timed out")


def main() -> None:
    persistence = PicklePersistence(
        "state", single_file="single" in sys.argv, on_flush="on_flush" in sys.argv
    )
    timeout = 0.05 if "timeout" in sys.argv else None
    application = Application.builder().token("x").persistence(persistence).build()
    nested = ConversationHandler(
        entry_points=[CommandHandler("inner", enter_inner)],
        states={INNER: [MessageHandler(TEXT, inner)]},
        fallbacks=[CommandHandler("back", leave_inner)],
        map_to_parent={ConversationHandler.END: ASK},
        name="nested",
        persistent=True,
    )
    application.add_handler(
        ConversationHandler(
            entry_points=[CommandHandler("begin", begin)],
            states={
                ASK: [nested, MessageHandler(TEXT, ask)],
                ConversationHandler.TIMEOUT: [MessageHandler(filters.ALL, timed_out)],
            },
            fallbacks=[CommandHandler("end", end)],
            name="outer",
            persistent=True,
            conversation_timeout=timeout,
        )
    )
    application.run_polling()


if __name__ == "__main__":
    main()
