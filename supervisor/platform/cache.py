"""Keeps the last accepted answer of the platform on disk, for a start while the platform is away.

The file holds tokens and is readable by its owner alone. It is written beside its place and renamed, so that
a crash at any moment leaves the old one or the new one.

Runs in: master.
"""

import asyncio
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from brama.folders import sync_folder
from brama.log import get_logger
from supervisor.platform.answer import Answer, UnreadableAnswerError, parse

CACHE_NAME = "bots_source.json"
_VERSION = 1
_TEMPORARY = (".bots_source.", ".tmp")

log = get_logger(__name__)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    url: str
    fetched_utc: float
    etag: str | None
    answer: msgspec.Raw


class AnswerCache:
    """The last accepted answer of the address ``url``, in the file at ``path``."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url
        self._fault = ""

    async def load(self) -> Answer | None:
        """Return what is kept; None if nothing is, or not of this address, or it cannot be read."""
        return await asyncio.to_thread(self._load)

    async def keep(self, answer: Answer) -> bool:
        """Write ``answer`` down and return whether that went well; if not, the log says so once."""
        try:
            await asyncio.to_thread(self._write, answer)
        except OSError as error:
            fault = f"{self._path} cannot be written: {error.strerror}"
            if fault != self._fault:
                log.warning("platform.cache_unwritten", detail=fault)
            self._fault = fault
            return False
        self._fault = ""
        return True

    # --- inside: in a thread --------------------------------------------------------------------

    def _load(self) -> Answer | None:
        prefix, suffix = _TEMPORARY
        for stray in self._path.parent.glob(f"{prefix}*{suffix}"):  # of a master that was killed
            with suppress(OSError):
                stray.unlink()
        return self.read()

    def read(self) -> Answer | None:
        """Return what is kept, as ``load`` does, changing nothing. Blocks."""
        try:
            entry = msgspec.json.decode(self._path.read_bytes(), type=_Entry)
            content = parse(bytes(entry.answer))
        except FileNotFoundError:
            return None
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UnreadableAnswerError):
            fault = "is not what was written"
        else:
            if (entry.version, entry.url) == (_VERSION, self._url):
                return Answer(bytes(entry.answer), content, entry.etag, entry.fetched_utc, is_cached=True)
            fault = "is of another address than bots_source.url, or of another version"
        log.warning("platform.cache_unusable", detail=f"{self._path} {fault}; it is left aside")
        return None

    def _write(self, answer: Answer) -> None:
        entry = _Entry(_VERSION, self._url, answer.fetched_utc, answer.etag, msgspec.Raw(answer.raw))
        prefix, suffix = _TEMPORARY
        fd, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=prefix, suffix=suffix)
        try:
            with open(fd, "wb") as file:
                file.write(msgspec.json.encode(entry))
                file.flush()
                os.fsync(fd)
            os.rename(temporary, self._path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(self._path.parent)
