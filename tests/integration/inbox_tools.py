"""What the tests of inbox and intake share."""

import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from brama.ids import BotId, Seq, TelegramId, UpdateId
from supervisor.updates.inbox.ledger import Ledger, open_ledger
from supervisor.updates.model import Accepted, Candidate, Row, Source, Tally

SHOP = BotId("shop")
HELP = BotId("help")
SHOP_SOURCE = Source(TelegramId(1001), "https://api.telegram.org")
HELP_SOURCE = Source(TelegramId(1002), "https://api.telegram.org")
START = Seq(0)


def update(update_id: int, text: str = "hi", chat: int = 3, kind: str = "message") -> bytes:
    """Return an update as Telegram writes it; its message has the update's own number."""
    message = {
        "message_id": update_id,
        "date": 1_700_000_000 + update_id,
        "chat": {"id": chat, "type": "private", "first_name": "Ann"},
        "from": {"id": chat, "is_bot": False, "first_name": "Ann"},
        "text": text,
    }
    return json.dumps({"update_id": update_id, kind: message}).encode()


def candidate(
    update_id: int, *, raw: bytes | None = None, duplicate: bool = False, lane: str = "c3"
) -> Candidate:
    return Candidate(
        UpdateId(update_id),
        "message",
        lane,
        update(update_id) if raw is None else raw,
        duplicate,
        1_700_000_000,
    )


def rows_of(accepted: tuple[Accepted, ...]) -> list[Row]:
    return [each.row for each in accepted if each.row is not None]


def assert_balanced(tally: Tally) -> None:
    """Check the invariant of delivery on one source's numbers."""
    ended = tally.processed + tally.dropped + tally.dead_letters + tally.purged
    assert tally.committed == ended + tally.waiting, tally


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Ledger]:
    """Open a ledger that is closed at the end; syncing to disk is left out unless asked for."""
    ledger = open_ledger(path, **{"durability": "normal", **options})
    try:
        yield ledger
    finally:
        await ledger.close()


def query(path: Path, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Ask the file itself, over a connection of the test's own."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, arguments).fetchall()


def bytes_on_disk(path: Path) -> bytes:
    """Return the file and its log as they are on the disk."""
    log = path.with_name(path.name + "-wal")
    return path.read_bytes() + (log.read_bytes() if log.exists() else b"")


@contextmanager
def small_disk(folder: Path, mode: str = "rw") -> Iterator[Path]:
    """Mount a disk of one megabyte at ``folder``; the test is skipped where that is not allowed."""
    folder.mkdir()
    options = f"{mode},size=1m"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(mount, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
