"""The bot of counting_bot.py, delivered to by python-telegram-bot's own webhook server."""

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
    port, path = int(os.environ["WEBHOOK_PORT"]), os.environ["WEBHOOK_PATH"]
    application.run_webhook(
        listen="127.0.0.1",
        port=port,
        url_path=path,
        webhook_url=f"http://127.0.0.1:{port}/{path}",
        secret_token=os.environ["WEBHOOK_SECRET"],
    )


main()
