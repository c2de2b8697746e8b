"""A stock bot that has each text answered by a job of the type that its first word names."""

import os
from typing import Any

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, TypeHandler, filters

import brama

Context = ContextTypes.DEFAULT_TYPE


async def ask(update: Update, context: Context) -> None:
    message = update.effective_message
    assert message is not None
    assert message.text is not None
    if message.text == "pid":
        await message.reply_text(str(os.getpid()))
        return
    name, text = message.text.split(maxsplit=1)
    await brama.enqueue(name, {"text": text}, extra={"asked": text})
    if text == "and die":
        os.abort()
    await message.reply_text(f"asked {text}")


async def tell(result: brama.JobResult, context: Context) -> None:
    asked: Any = result.extra
    assert result.chat_id is not None
    said = result.result["text"] if result.ok else result.error
    await context.bot.send_message(result.chat_id, f"{asked['asked']}: {said}")


application = Application.builder().token("the supervisor knows").build()
application.add_handler(MessageHandler(filters.TEXT, ask))
application.add_handler(TypeHandler(brama.JobResult, tell))
application.run_polling()
