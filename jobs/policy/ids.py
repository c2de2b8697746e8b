"""Job ids and names that every side of the wire takes.

Node's BullMQ refuses ids that are integers and ids with a colon (colons separate Redis keys), and so do
queue names; ids of ours are therefore hexadecimal behind a letter.

Pure.
"""

import hashlib

from brama.job_terms import check_name as check_name


def job_id_for(queue: str, name: str, key: str) -> str:
    """Return the id of the job of this type and idempotency key: the same for the same three, always."""
    digest = hashlib.sha256(f"{queue}\0{name}\0{key}".encode()).hexdigest()
    return f"k{digest[:40]}"


def job_id_from(random_bits: int) -> str:
    """Return an id for a job without a key, from 128 random bits."""
    return f"j{random_bits:032x}"
