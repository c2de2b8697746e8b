"""The shortest bot: run_polling at module level, no main guard."""

from telegram.ext import Application, MessageHandler, filters


async def echo(update, context):
    await update.message.reply_text(update.message.text)


application = Application.builder().token("TOKEN GOES HERE").build()
application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, echo))
application.run_polling()
