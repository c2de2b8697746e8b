"""The bot of a chaos run: it answers each text with the same text, and at SIGUSR1 tears its pipe's stream."""

import os
import signal
import socket
import struct

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

#: As long as this, nobody's slowness is taken for a failure of the Bot API.
PATIENCE_S = 60.0


async def echo(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    await update.message.reply_text(update.message.text or "")


def tear(_number: int, _frame: object) -> None:
    """Write nonsense into the one socket that the supervisor, this process's parent, has made."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as found:
                size = struct.calcsize("3i")
                pid, _, _ = struct.unpack("3i", found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
                if found.family == socket.AF_UNIX and pid == os.getppid():
                    found.send(b"\xff nonsense")
        except OSError:
            continue  # no socket, or gone by now


def main() -> None:
    signal.signal(signal.SIGUSR1, tear)
    builder = Application.builder().token(os.environ["BOT_TOKEN"]).base_url(os.environ["BOT_API"] + "/bot")
    builder.connect_timeout(PATIENCE_S).read_timeout(PATIENCE_S).pool_timeout(PATIENCE_S)
    application = builder.build()
    application.add_handler(MessageHandler(filters.TEXT, echo))
    application.run_polling()


main()
