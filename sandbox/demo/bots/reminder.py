"""Reminds people of things: a bot with a job queue.

A plain python-telegram-bot script. It runs alone, with ``BOT_TOKEN=... python reminder.py``, and under
brama-supervisor as it is.
"""

# mypy: disable-error-code="union-attr, index, arg-type"
import os

from telegram import Update
from telegram.ext import Application, CommandHandler, ContextTypes


async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    await update.message.reply_text("Write /in SECONDS THING, for example: /in 90 take the tea out")


async def remind_in(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    try:
        seconds = float(context.args[0])
        thing = " ".join(context.args[1:]) or "it is time"
    except (IndexError, ValueError):
        await start(update, context)
        return
    context.job_queue.run_once(remind, seconds, chat_id=update.effective_chat.id, data=thing)
    await update.message.reply_text(f"In {seconds:g} s: {thing}. I will tell you.")


async def remind(context: ContextTypes.DEFAULT_TYPE) -> None:
    await context.bot.send_message(context.job.chat_id, f"Time to {context.job.data}!")


def main() -> None:
    application = Application.builder().token(os.environ["BOT_TOKEN"]).build()
    application.add_handler(CommandHandler("start", start))
    application.add_handler(CommandHandler("in", remind_in))
    application.run_polling()


if __name__ == "__main__":
    main()
