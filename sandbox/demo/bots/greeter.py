"""Greets people and repeats what they say.

A plain python-telegram-bot script. It runs alone, with ``BOT_TOKEN=... python greeter.py``, and under
brama-supervisor as it is.
"""

# mypy: disable-error-code="union-attr"
import os

from telegram import Update
from telegram.ext import Application, CommandHandler, ContextTypes, MessageHandler, filters


async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    await update.message.reply_text("Hello! Say something, and I say it too.")


async def repeat(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    await update.message.reply_text(update.message.text or "")


def main() -> None:
    application = Application.builder().token(os.environ["BOT_TOKEN"]).build()
    application.add_handler(CommandHandler("start", start))
    application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, repeat))
    application.run_polling()


if __name__ == "__main__":
    main()
