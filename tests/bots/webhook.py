"""run_webhook with a public address; nothing may listen here."""

from telegram.ext import Application, MessageHandler, filters


async def echo(update, context):
    info = await context.bot.get_webhook_info()
    await update.message.reply_text(f"{update.message.text} via {info.url or 'nothing'}")


app = Application.builder().token("x").build()
app.add_handler(MessageHandler(filters.TEXT, echo))
app.run_webhook(
    listen="0.0.0.0",
    port=8443,
    url_path="hook",
    webhook_url="https://bot.example.com/hook",
    secret_token="a-secret",
    allowed_updates=["message"],
    drop_pending_updates=True,
)
