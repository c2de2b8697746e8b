"""post_init, post_stop and post_shutdown; sends from two of them; prints the order."""

from telegram.ext import Application, ApplicationBuilder, MessageHandler, filters

OWNER = 10


async def post_init(application: Application) -> None:
    me = await application.bot.get_me()
    await application.bot.set_my_commands([("start", "begin")])
    await application.bot.send_message(OWNER, f"@{me.username} is up")
    print("post_init")


async def post_stop(application: Application) -> None:
    await application.bot.send_message(OWNER, "going down")
    print("post_stop")


async def post_shutdown(application: Application) -> None:
    print("post_shutdown")


async def echo(update, context):
    await update.message.reply_text(update.message.text)


if __name__ == "__main__":
    builder = ApplicationBuilder().token("x").post_init(post_init).post_stop(post_stop)
    app = builder.post_shutdown(post_shutdown).build()
    app.add_handler(MessageHandler(filters.TEXT, echo))
    app.run_polling(stop_signals=None, close_loop=False)
    print("after run_polling")
