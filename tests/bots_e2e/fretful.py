"""A stock bot that hands each text to a job, and says what comes of it.

``fail`` makes its handler of results raise, until the file ``mended`` is there.
"""

from pathlib import Path

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, TypeHandler, filters

import brama


async def ask(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    message = update.effective_message
    assert message is not None
    job_id = await brama.enqueue("ECHO", {"text": message.text})
    note(f"{message.text} {job_id}")


def note(line: str) -> None:
    with Path("asked").open("a") as asked:
        asked.write(f"{line}\n")


async def answered(result: brama.JobResult, context: ContextTypes.DEFAULT_TYPE) -> None:
    text = result.result["text"]
    if text == "fail" and not Path("mended").exists():
        raise ValueError("cannot bear it")
    assert result.chat_id is not None
    await context.bot.send_message(result.chat_id, f"answer: {text}")


application = Application.builder().token("the supervisor knows").build()
application.add_handler(MessageHandler(filters.TEXT, ask))
application.add_handler(TypeHandler(brama.JobResult, answered))
application.run_polling()
