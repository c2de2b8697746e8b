"""Binds the addresses of the control API, or says in one line why that cannot be.

Runs in: master.
"""

import errno
import os
import socket
import stat
from pathlib import Path

from brama.errors import ConfigError, StateError
from brama.listening import listen
from supervisor.control.policy.access import is_loopback
from supervisor.control.socket_path import prepare_socket_folder

_BACKLOG = 128


def bind_unix(path: Path, state_dir: Path) -> socket.socket:
    """Return a listening socket at ``path`` with mode 0600, in place of one that a dead master left.

    The caller holds the state directory's lock: no other master can be listening there.

    Raises:
        StateError: the folder cannot be written, or something else is at ``path``.
    """
    prepare_socket_folder(path, state_dir)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # The mode of an unbound socket becomes its file's: no moment passes in which others could connect.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(os.fspath(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StateError(f"{path}: the control socket cannot be made: {error.strerror or error}") from error
    return listener


def bind_tcp(host: str, port: int, token: str | None) -> socket.socket:
    """Return a listening socket at ``host``:``port``.

    Raises:
        ConfigError: ``host`` can be reached from other machines and no ``token`` guards it.
        ListenError: the address is taken, or none of this machine's.
    """
    if not token and not is_loopback(host):
        raise ConfigError(
            f'api.host: "{host}" can be reached from other machines; set api.token, or use 127.0.0.1'
        )
    return listen(host, port, host_key="api.host", port_key="api.port", instead=3001)


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "something that is no socket is there; remove it")
    path.unlink()
