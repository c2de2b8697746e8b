"""Serves the control API at the path of its unix socket, and there again if that is taken away.

Whoever tidies the state directory up must not leave a master that no command finds.

Runs in: master.
"""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from brama.errors import BramaError
from brama.log import get_logger
from supervisor.control.listeners import bind_unix
from supervisor.control.socket_path import socket_path

#: Between two looks at the path.
LOOK_S = 2.0
log = get_logger(__name__)


class UnixEndpoint:
    """The control socket of one state directory, whose lock the caller holds.

    Args:
        state_dir: absolute.
        left: the listening socket of the master before, if that handed it over.
    """

    def __init__(self, state_dir: Path, left: socket.socket | None = None) -> None:
        self._state_dir = state_dir
        self._path = socket_path(state_dir)
        self._listener = left
        self._inode = 0
        self._server: asyncio.AbstractServer | None = None
        self._watching: asyncio.Task[None] | None = None
        self._handed_over = False
        self._trouble = ""

    def bind(self) -> None:
        """Take the path, unless it was handed over with what listens there; serves nothing yet.

        Raises:
            BramaError: it is not to be had, in one line.
        """
        if self._listener is None:
            self._listener = bind_unix(self._path, self._state_dir)
        if self._answers():  # else it was removed before we came, and is made anew
            self._inode = self._path.stat().st_ino

    async def serve(self, protocol: web.Server) -> None:
        """Answer who connects, and keep doing so at the path."""
        await self._look(protocol)
        if self._server is None:
            await self._accept(protocol)
        self._watching = asyncio.get_running_loop().create_task(self._watch(protocol))

    def hand_over(self) -> int:
        """Return a file descriptor of the listener for the next master; the path stays."""
        assert self._listener is not None
        self._handed_over = True
        return os.dup(self._listener.fileno())

    async def stop(self) -> None:
        """Accept nobody any more, and look at the path no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Close the listener, and remove the path if it is still ours and not handed over."""
        if self._listener is not None:
            self._listener.close()
        with suppress(OSError):
            if not self._handed_over and self._path.stat().st_ino == self._inode:
                self._path.unlink()

    # --- inside ---------------------------------------------------------------------------------

    async def _accept(self, protocol: web.Server) -> None:
        # create_server takes no unix socket under uvloop, create_unix_server takes no other under asyncio.
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(protocol, sock=self._listener)

    async def _watch(self, protocol: web.Server) -> None:
        while not self._handed_over:
            await asyncio.sleep(LOOK_S)
            await self._look(protocol)

    async def _look(self, protocol: web.Server) -> None:
        """Make the socket anew if its path does not lead to it."""
        if self._handed_over or self._is_there():
            return
        try:
            fresh = bind_unix(self._path, self._state_dir)
        except BramaError as error:  # what listens is kept: it can be handed over
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.error("control.socket_lost", detail=self._trouble)
            return
        if self._server is not None:
            self._server.close()
        if self._listener is not None:
            self._listener.close()
        self._listener, self._inode, self._trouble = fresh, self._path.stat().st_ino, ""
        await self._accept(protocol)
        log.warning("control.socket_made_anew", path=str(self._path))

    def _is_there(self) -> bool:
        """Return whether the path leads to us, or to somebody else who answers: that is not ours to end."""
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                return True
        return self._answers()

    def _answers(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            probe.connect(os.fspath(self._path))
            return True
        return False
