"""The stock bot every peer runs, unmodified: it answers each text with the same text."""

import os

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters


async def echo(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    await update.message.reply_text(update.message.text or "")


def main() -> None:
    application = (
        Application.builder().token(os.environ["BOT_TOKEN"]).base_url(os.environ["BOT_API"] + "/bot").build()
    )
    application.add_handler(MessageHandler(filters.TEXT, echo))
    application.run_polling()


main()
