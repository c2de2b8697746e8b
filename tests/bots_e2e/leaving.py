"""A stock bot that ends its process right after it began to poll: with a code, or by a segfault."""

import asyncio
import ctypes
import os
import sys

from telegram.ext import Application


def leave() -> None:
    if sys.argv[1] == "segfault":
        ctypes.string_at(0)
    os._exit(int(sys.argv[1]))


async def begin(_application: Application) -> None:
    asyncio.get_running_loop().call_later(0.1, leave)


Application.builder().token("the supervisor knows").post_init(begin).build().run_polling()
