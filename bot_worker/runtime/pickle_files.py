"""Writes PicklePersistence's files so that a death at any moment leaves the old or the new content.

One write per file and saving, where the original writes a file anew for every chat that changed; written
beside it, fsynced, renamed. Where renaming is not possible (a folder that may not be written, a device) it is
written in place, as the original does.

Runs in: worker.
"""

import asyncio
import io
import os
import pickle
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from telegram.ext import BasePersistence, PicklePersistence
from telegram.ext._picklepersistence import _BotPickler

from brama.folders import sync_folder

AnyPickles = PicklePersistence[Any, Any, Any]

#: Whether a file that changes in this context is written later, with the others of its saving.
_collecting: ContextVar[bool] = ContextVar("brama_collecting", default=False)


class PickleFiles:
    """The pickle files of one worker; ``suffix`` makes the names of its temporary files its own."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._dirty: dict[Path, object] = {}

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Note which files change, to be written by ``write``."""
        token = _collecting.set(True)
        try:
            yield
        finally:
            _collecting.reset(token)

    def dump_file(self, persistence: AnyPickles, path: Path, data: object) -> None:
        """Stand for ``PicklePersistence._dump_file``."""
        if _collecting.get():
            self._dirty[path] = data
        else:
            replace_file(path, _pickled(persistence, data), self._suffix)

    def dump_single_file(self, persistence: AnyPickles) -> None:
        """Stand for ``PicklePersistence._dump_singlefile``."""
        self.dump_file(persistence, persistence.filepath, _everything(persistence))

    async def write(self, persistence: BasePersistence[Any, Any, Any]) -> None:
        """Write what has changed, in a thread: the loop does not wait for the disk. What fails stays noted.

        Raises:
            Exception: some data cannot be pickled, or the disk refuses.
        """
        if not isinstance(persistence, PicklePersistence):
            return
        if persistence.on_flush:
            with self.collected():
                await persistence.flush()
        if self._dirty:
            dirty = dict(self._dirty)
            files = [(path, _pickled(persistence, data)) for path, data in dirty.items()]
            await asyncio.to_thread(self._replace_all, files)
            for path, data in dirty.items():
                if self._dirty.get(path) is data:
                    del self._dirty[path]

    def _replace_all(self, files: list[tuple[Path, bytes]]) -> None:
        for path, data in files:
            replace_file(path, data, self._suffix)


def replace_file(path: Path, data: bytes, suffix: str) -> None:
    """Make ``data`` the content of ``path`` as a whole; mode and owner stay.

    Raises:
        OSError: neither that nor writing in place is possible.
    """
    target = Path(os.path.realpath(path))
    try:
        before = os.stat(target)
    except FileNotFoundError:
        before = None
    temporary = target.with_name(f".{target.name}.{suffix}.tmp")
    if before is not None and not stat.S_ISREG(before.st_mode):
        target.write_bytes(data)
        return
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except PermissionError:
        target.write_bytes(data)
        return
    try:
        with open(fd, "wb") as file:
            if before is not None:
                os.fchmod(fd, stat.S_IMODE(before.st_mode))
                with suppress(PermissionError):
                    os.fchown(fd, before.st_uid, before.st_gid)
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(target.parent)


def _pickled(persistence: AnyPickles, data: object) -> bytes:
    buffer = io.BytesIO()
    _BotPickler(persistence.bot, buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(data)
    return buffer.getvalue()


def _everything(persistence: AnyPickles) -> dict[str, object]:
    """Return the content of a single file, as PicklePersistence lays it out."""
    return {
        "conversations": persistence.conversations,
        "user_data": persistence.user_data,
        "chat_data": persistence.chat_data,
        "bot_data": persistence.bot_data,
        "callback_data": persistence.callback_data,
    }
