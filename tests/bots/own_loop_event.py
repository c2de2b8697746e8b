# mypy: ignore-errors
"""An own loop: async with, start_polling, an Event that signal handlers set, everything stopped by hand."""

import asyncio
import signal

from telegram.ext import ApplicationBuilder, MessageHandler, filters


async def echo(update, context):
    await update.message.reply_text(update.message.text)


async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    application = ApplicationBuilder().token("x").build()
    application.add_handler(MessageHandler(filters.TEXT, echo))
    async with application:
        await application.start()
        await application.updater.start_polling(allowed_updates=["message", "callback_query"])
        await stop.wait()
        await application.updater.stop()
        await application.stop()
    print("stopped by hand")


asyncio.run(main())
