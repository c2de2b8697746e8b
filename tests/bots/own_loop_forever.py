# mypy: ignore-errors
"""run_forever on a loop of its own, made by hand; KeyboardInterrupt ends it."""

import asyncio

from telegram.ext import ApplicationBuilder, MessageHandler, filters


async def echo(update, context):
    await update.message.reply_text(update.message.text)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
application = ApplicationBuilder().token("x").build()
application.add_handler(MessageHandler(filters.TEXT, echo))
loop.run_until_complete(application.initialize())
loop.run_until_complete(application.start())
loop.run_until_complete(application.updater.start_polling())
try:
    loop.run_forever()
except KeyboardInterrupt:
    loop.run_until_complete(application.updater.stop())
    loop.run_until_complete(application.stop())
    loop.run_until_complete(application.shutdown())
    loop.close()
    print("loop closed")
