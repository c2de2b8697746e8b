"""A stock bot that works without sending: only a text that ends in "last" gets an answer."""

import os

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters


async def count(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    assert update.message.text is not None
    if update.message.text.endswith("last"):
        await update.message.reply_text(update.message.text)


def main() -> None:
    application = (
        Application.builder().token(os.environ["BOT_TOKEN"]).base_url(os.environ["BOT_API"] + "/bot").build()
    )
    application.add_handler(MessageHandler(filters.TEXT, count))
    application.run_polling()


main()
