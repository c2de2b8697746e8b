"""Takes orders for pizza: a conversation with buttons, which survives restarts in a file.

A plain python-telegram-bot script. It runs alone, with ``BOT_TOKEN=... python pizza.py``, and under
brama-supervisor as it is.
"""

# mypy: disable-error-code="union-attr, index, arg-type"
import os
import warnings

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.ext import (
    Application,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    ConversationHandler,
    MessageHandler,
    PicklePersistence,
    filters,
)
from telegram.warnings import PTBUserWarning

# The buttons' answers belong to the chat, not to one message; that is meant.
warnings.filterwarnings("ignore", message=".*CallbackQueryHandler", category=PTBUserWarning)

SIZE, TOPPING, STREET = range(3)
SIZES = InlineKeyboardMarkup(
    [[InlineKeyboardButton(size, callback_data=size.lower()) for size in ("Small", "Large", "Huge")]]
)


async def order(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    await update.message.reply_text("Which size may it be?", reply_markup=SIZES)
    return SIZE


async def choose_size(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    query = update.callback_query
    await query.answer()
    context.user_data["size"] = query.data
    await query.edit_message_text(f"A {query.data} one. What do you want on it?")
    return TOPPING


async def choose_topping(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    context.user_data["topping"] = update.message.text
    await update.message.reply_text("Good choice. Which street shall it go to?")
    return STREET


async def finish(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    pizza = "a {size} pizza with {topping}".format(**context.user_data)
    await update.message.reply_text(f"Thank you: {pizza} is on its way to {update.message.text}.")
    return ConversationHandler.END


async def cancel(update: Update, context: ContextTypes.DEFAULT_TYPE) -> int:
    await update.message.reply_text("As you like. /order when you are hungry.")
    return ConversationHandler.END


def main() -> None:
    application = (
        Application.builder()
        .token(os.environ["BOT_TOKEN"])
        .persistence(PicklePersistence("orders.pickle"))
        .build()
    )
    text = filters.TEXT & ~filters.COMMAND
    application.add_handler(
        ConversationHandler(
            entry_points=[CommandHandler(["start", "order"], order)],
            states={
                SIZE: [CallbackQueryHandler(choose_size)],
                TOPPING: [MessageHandler(text, choose_topping)],
                STREET: [MessageHandler(text, finish)],
            },
            fallbacks=[CommandHandler("cancel", cancel)],
            name="order",
            persistent=True,
        )
    )
    application.run_polling()


if __name__ == "__main__":
    main()
