"""The bot lives in a thread; the main thread has work of its own (a web server, say)."""

import asyncio
import threading

from telegram.ext import ApplicationBuilder, MessageHandler, filters


async def echo(update, context):
    await update.message.reply_text(update.message.text)


def run_bot():
    asyncio.set_event_loop(asyncio.new_event_loop())
    application = ApplicationBuilder().token("x").build()
    application.add_handler(MessageHandler(filters.TEXT, echo))
    application.run_polling(stop_signals=None)
    print("bot thread through")


thread = threading.Thread(target=run_bot, daemon=True)
thread.start()
try:
    threading.Event().wait()
except KeyboardInterrupt:
    thread.join()
    print("main thread interrupted")
