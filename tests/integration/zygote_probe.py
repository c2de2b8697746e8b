"""A zygote whose workers do what a test asks instead of running a bot.

Run as ``python -P -m tests.integration.zygote_probe FD``. A worker evaluates the Python of each Deliver in
one namespace and answers with a Notice: the result as JSON, or the exception's name and text. Python that
starts with ``exit:`` gives what the worker's ``run`` returns or raises.
"""

import json
import sys
from typing import Any

from bot_worker import zygote
from bot_worker.channel import Channel
from brama.messages import Boot, Deliver, Drain, Notice


def run(boot: Boot, channel: Channel) -> int:
    """Answer until drained."""
    names: dict[str, Any] = {"__name__": "probe", "boot": boot, "channel": channel}
    while True:
        message = channel.take_first(60.0)
        match message:
            case Deliver(raw=raw) if raw.startswith(b"exit:"):
                return int(eval(raw[5:], names))
            case Deliver(raw=raw):
                channel.send_now([_answer(raw.decode(), names)])
            case Drain():
                return 0
            case _:
                return 99


def _answer(source: str, names: dict[str, Any]) -> Notice:
    *statements, expression = source.strip().split("\n")
    try:
        exec("\n".join(statements), names)
        return Notice("value", json.dumps(eval(expression, names)))
    except Exception as error:
        return Notice("error", f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(zygote.main(sys.argv[1:], run))
