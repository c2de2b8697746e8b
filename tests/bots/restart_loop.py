"""A home-made watchdog: builds the bot anew whenever run_polling comes back."""

import asyncio
import threading

from telegram.ext import ApplicationBuilder, CommandHandler, MessageHandler, filters

pause = threading.Event()


async def echo(update, context):
    await update.message.reply_text(update.message.text)


async def stop(update, context):
    context.application.stop_running()


while True:
    try:
        asyncio.set_event_loop(asyncio.new_event_loop())
        app = ApplicationBuilder().token("x").build()
        app.add_handler(CommandHandler("stop", stop))
        app.add_handler(MessageHandler(filters.TEXT, echo))
        app.run_polling()
    except Exception as error:
        print("failed:", error)
    print("once more")
    pause.wait(0.01)
