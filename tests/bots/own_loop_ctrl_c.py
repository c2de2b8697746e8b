# mypy: ignore-errors
"""An own loop that knows nothing but Ctrl-C, and stops in finally."""

import asyncio

from telegram.ext import ApplicationBuilder, MessageHandler, filters


async def echo(update, context):
    await update.message.reply_text(update.message.text)


async def main():
    application = ApplicationBuilder().token("x").build()
    application.add_handler(MessageHandler(filters.TEXT, echo))
    await application.initialize()
    await application.updater.start_polling()
    await application.start()
    try:
        await asyncio.Event().wait()
    finally:
        await application.updater.stop()
        await application.stop()
        await application.shutdown()
        print("stopped in finally")


try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("bye")
