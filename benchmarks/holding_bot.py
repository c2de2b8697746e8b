"""A stock bot that is never done with an update, save for the first: what it gets is taken in, and waits."""

import asyncio
import os

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters


async def hold(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    if update.message.text == "waiting":
        await update.message.reply_text("waiting")
        return
    await asyncio.Event().wait()


def main() -> None:
    application = (
        Application.builder().token(os.environ["BOT_TOKEN"]).base_url(os.environ["BOT_API"] + "/bot").build()
    )
    application.add_handler(MessageHandler(filters.TEXT, hold))
    application.run_polling()


main()
