"""Answers questions that take long: a bot that hands its work to the supervisor's job workers.

``oracle_jobs.py`` holds the job. The bot knows it by its name alone, and runs under brama-supervisor with
``jobs.enabled: true``.
"""

# mypy: disable-error-code="union-attr, arg-type"
import os

from telegram import Update
from telegram.ext import Application, CommandHandler, ContextTypes, MessageHandler, TypeHandler, filters

import brama


async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    await update.message.reply_text("Ask me anything. I take my time.")


async def ask(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    await brama.enqueue("ANSWER_SLOWLY", {"question": update.message.text})
    await update.message.reply_text("Let me think.")


async def answered(result: brama.JobResult, context: ContextTypes.DEFAULT_TYPE) -> None:
    text = result.result["text"] if result.ok else "I could not find out."
    await context.bot.send_message(result.chat_id, text)


def main() -> None:
    application = Application.builder().token(os.environ["BOT_TOKEN"]).build()
    application.add_handler(CommandHandler("start", start))
    application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, ask))
    application.add_handler(TypeHandler(brama.JobResult, answered))
    application.run_polling()


if __name__ == "__main__":
    main()
