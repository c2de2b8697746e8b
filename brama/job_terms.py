"""The names and numbers of jobs that hold wherever one is enqueued.

Pure.
"""

import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")

#: BullMQ's lowest priority; 1 is the highest and 0 goes before all of them.
MAX_PRIORITY = 2_097_152
#: What a bot hands over in one job, as JSON: it shares one pipe with the bot's updates.
MAX_PAYLOAD_BYTES = 1024 * 1024
#: What comes back with the result as it was, as JSON.
MAX_EXTRA_BYTES = 64 * 1024
#: Characters of an idempotency key.
MAX_KEY_CHARACTERS = 500


def check_name(name: str, what: str) -> str:
    """Return ``name`` if it can be a queue's or a type's name.

    Raises:
        ValueError: it has other characters than ``A-Z a-z 0-9 _ . -``, or not 1 to 100 of them.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f'{what} "{name}" is not 1 to 100 of A-Z a-z 0-9 _ . -; write for example MAKE_REPORT'
        )
    return name
