# mypy: ignore-errors
"""Job queue, rate limiter, arbitrary callback data, defaults, custom context types, concurrent updates."""

from collections import UserDict

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.constants import ParseMode
from telegram.ext import (
    AIORateLimiter,
    Application,
    CallbackContext,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    Defaults,
    ExtBot,
    InvalidCallbackData,
)


class ChatData(UserDict):
    pass


class Context(CallbackContext[ExtBot, dict, ChatData, dict]):
    @property
    def clicks(self) -> int:
        return self.chat_data.get("clicks", 0)


class Shop(Application):
    def __init__(self, *, label: str, **kwargs):
        super().__init__(**kwargs)
        self.label = label

    async def process_update(self, update: object) -> None:
        print(f"{self.label} sees {update.update_id}")
        await super().process_update(update)


async def start(update: Update, context: Context) -> None:
    buttons = [[InlineKeyboardButton("buy", callback_data=("buy", {"id": 7}))]]
    await update.message.reply_text("<b>shop</b>", reply_markup=InlineKeyboardMarkup(buttons))


async def pressed(update: Update, context: Context) -> None:
    query = update.callback_query
    await query.answer()
    if isinstance(query.data, InvalidCallbackData):
        await context.bot.send_message(query.from_user.id, "expired")
        return
    what, item = query.data
    context.chat_data["clicks"] = context.clicks + 1
    await context.bot.send_message(query.from_user.id, f"{what} {item['id']} click {context.clicks}")


async def remind(update: Update, context: Context) -> None:
    context.job_queue.run_once(alarm, 0.01, chat_id=update.effective_chat.id, data=context.args[0])


async def alarm(context: Context) -> None:
    await context.bot.send_message(context.job.chat_id, f"alarm {context.job.data}")
    if context.job.data == "fail":
        raise ValueError("in a job")


application = (
    Application.builder()
    .token("x")
    .application_class(Shop, {"label": "my shop"})
    .context_types(ContextTypes(context=Context, chat_data=ChatData))
    .arbitrary_callback_data(True)
    .defaults(Defaults(parse_mode=ParseMode.HTML))
    .rate_limiter(AIORateLimiter(max_retries=1))
    .concurrent_updates(True)
    .build()
)
application.add_handler(CommandHandler("start", start))
application.add_handler(CommandHandler("remind", remind))
application.add_handler(CallbackQueryHandler(pressed))

if __name__ == "__main__":
    application.run_polling(allowed_updates=[Update.MESSAGE, Update.CALLBACK_QUERY])
