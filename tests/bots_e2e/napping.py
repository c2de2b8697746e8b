"""A stock bot that answers each text with the same text, and gives itself reasons to stay awake.

Deeds are whole texts: "schedule" a job, "unschedule" it, "remember" something of the user, "forget" it.
"""

import os

from telegram import Update
from telegram.ext import Application, ContextTypes, JobQueue, MessageHandler, filters

Jobs = JobQueue[ContextTypes.DEFAULT_TYPE]


async def do(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    message = update.effective_message
    jobs, user_data = context.job_queue, context.user_data
    assert message is not None
    assert jobs is not None
    assert user_data is not None
    match message.text:
        case "schedule":
            jobs.run_once(remind, 86400)
        case "unschedule":
            for job in jobs.jobs():
                job.schedule_removal()
        case "remember":
            user_data["name"] = "Ann"
        case "forget":
            user_data.clear()
        case "pid":
            await message.reply_text(str(os.getpid()))
            return
    await message.reply_text(message.text or "")


async def remind(_context: ContextTypes.DEFAULT_TYPE) -> None:
    """Never comes: it is a day away."""


application = Application.builder().token("the supervisor knows").build()
application.add_handler(MessageHandler(filters.TEXT, do))
application.run_polling()
