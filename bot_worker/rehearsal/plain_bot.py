"""The shape most bots have: commands, an echo, a button, an error handler.

Runs in: zygote, as a script.
"""

import logging
import traceback

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, KeyboardButton, ReplyKeyboardMarkup, Update
from telegram.ext import (
    Application,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    filters,
)

from bot_worker.rehearsal.stub_api import REFUSED_TEXT

logger = logging.getLogger(__name__)


async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Greet with buttons, then meet an error."""
    assert update.message is not None
    buttons = InlineKeyboardMarkup([[InlineKeyboardButton("one", callback_data="one")]])
    await update.message.reply_text("hello", reply_markup=buttons)
    await update.message.reply_html(
        "<b>hello</b>", reply_markup=ReplyKeyboardMarkup([[KeyboardButton("yes")]], resize_keyboard=True)
    )
    await context.bot.send_message(update.message.chat_id, REFUSED_TEXT)


async def echo(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Answer a text, and count it."""
    assert update.message is not None
    assert context.user_data is not None
    await update.message.reply_text(update.message.text or "no text")
    context.user_data["count"] = context.user_data.get("count", 0) + 1


async def picture(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Answer with a file."""
    assert update.message is not None
    await context.bot.send_chat_action(update.message.chat_id, "typing")
    await update.message.reply_document(b"some bytes", filename="warm.txt")


async def pressed(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
    """Answer a button."""
    assert update.callback_query is not None
    await update.callback_query.answer()
    await update.callback_query.edit_message_text("pressed")


async def on_error(_: object, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Log as bots do."""
    assert context.error is not None
    logger.error("%s", "".join(traceback.format_exception(context.error)))


def main() -> None:
    """Run until told to end."""
    application = Application.builder().token("1:replaced").build()
    application.add_handler(CommandHandler("start", start))
    application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, echo))
    application.add_handler(MessageHandler(filters.PHOTO, picture))
    application.add_handler(CallbackQueryHandler(pressed))
    application.add_error_handler(on_error)
    application.run_polling()


if __name__ == "__main__":
    main()
