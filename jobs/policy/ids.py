"""Job ids and names that every side of the wire takes.

Node's BullMQ refuses ids that are integers and ids with a colon (colons separate Redis keys), and so do
queue names; ids of ours are therefore hexadecimal behind a letter.

Pure.
"""

import hashlib
import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def job_id_for(queue: str, name: str, key: str) -> str:
    """Return the id of the job of this type and idempotency key: the same for the same three, always."""
    digest = hashlib.sha256(f"{queue}\0{name}\0{key}".encode()).hexdigest()
    return f"k{digest[:40]}"


def job_id_from(random_bits: int) -> str:
    """Return an id for a job without a key, from 128 random bits."""
    return f"j{random_bits:032x}"


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
