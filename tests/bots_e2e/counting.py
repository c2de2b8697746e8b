"""A stock bot with a pickle file: it answers each text with how many it got from that chat."""

import asyncio
from pathlib import Path

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, PicklePersistence, filters

PAUSE_S = 0.01


async def count(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    message = update.effective_message
    assert message is not None
    assert context.chat_data is not None
    context.chat_data["count"] = context.chat_data.get("count", 0) + 1
    word, _, path = (message.text or "").partition(" ")
    await message.reply_text(f"{context.chat_data['count']}")
    while word == "hold" and not Path(path).exists():  # noqa: ASYNC110 - what appears is a file
        await asyncio.sleep(PAUSE_S)


application = (
    Application.builder()
    .token("the supervisor knows")
    .persistence(PicklePersistence(filepath="counts.pickle"))
    .build()
)
application.add_handler(MessageHandler(filters.TEXT, count))
application.run_polling()
