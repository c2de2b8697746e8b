"""Runs bots in the zygote, so that everything a worker touches is in memory all workers share.

Imports alone are not enough: HTTP clients, parsers, handlers and the interpreter itself build caches the
first time they are used; built before the fork they are built once ([m] 5 MB for each worker). So the zygote
goes through a worker's whole life, with the code a worker runs: boot, script, updates, drain.

Runs in: zygote.
"""

import asyncio
import importlib
import importlib.util
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bot_worker import linux
from bot_worker.channel import Channel
from bot_worker.environment import replace_environment
from bot_worker.rehearsal.counterpart import Stage, counterpart
from bot_worker.rehearsal.stub_api import IDENTITY
from brama.errors import ZygoteError
from brama.marks import MARKER_VARIABLE
from brama.messages import PROTOCOL_VERSION, Boot

#: What bots use and python-telegram-bot does not import, of the standard library and our dependencies.
_COMMON_MODULES = (
    "apscheduler.schedulers.asyncio", "argparse", "csv", "dataclasses", "decimal", "difflib",
    "encodings.idna", "fractions", "getpass", "glob", "gzip", "html", "http.client", "http.cookies", "io",
    "logging.handlers", "mimetypes", "pathlib", "pickle", "platform", "pprint", "queue", "random", "runpy",
    "secrets", "shelve", "shlex", "shutil", "sqlite3", "statistics", "subprocess", "tempfile", "textwrap",
    "tzlocal", "unicodedata", "urllib.request", "uuid", "xml.etree.ElementTree", "zoneinfo",
)  # fmt: skip

#: Updates of each kind that pass to see which code bots run.
SCOUTING_ROUNDS = 1
#: And to warm up; more change nothing that a worker would notice ([m] 12 take 0.2 s more).
ROUNDS = 4

_BOTS = ("plain_bot.py", "rich_bot.py")
_FOLDER = Path(__file__).parent / "rehearsal"


def warm_up(run: Callable[[Boot, Channel], int], rounds: int = ROUNDS) -> None:
    """Import what bots use, and ``run`` bots of common shapes, which process updates over real HTTP.

    Leaves no thread, event loop, file or socket behind. Where 127.0.0.1 cannot be used the bots are left out,
    said on standard error: workers are then larger, nothing else.

    Args:
        run: what a worker does with a bot.
        rounds: updates of each kind that every bot processes.

    Raises:
        ZygoteError: a bot does not run here, or something stayed behind.
    """
    for name in _COMMON_MODULES:
        importlib.import_module(name)
    _spare_searches()
    files_before = set(linux.open_files())
    try:
        replace_environment(dict(os.environ), "")
        del os.environ[MARKER_VARIABLE]
        _rehearse(run, rounds)
    except OSError as error:
        sys.stderr.write(f"brama: zygote: no warm-up traffic, workers will be larger: {error}\n")
    _check_nothing_left(files_before)


def _spare_searches() -> None:
    """Remember that sniffio is absent: httpcore tries to import it four times for each request."""
    if "sniffio" not in sys.modules and importlib.util.find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]


def _rehearse(run: Callable[[Boot, Channel], int], rounds: int) -> None:
    for bot in _BOTS:
        with counterpart(rounds) as stage, _as_before(), suppress(SystemExit):
            run(_boot(str(_FOLDER / bot), stage), Channel(stage.pipe_fd, end_process=sys.exit))


@contextmanager
def _as_before() -> Iterator[None]:
    """Put back what running a bot changes in a process."""
    search_path, arguments, folder = list(sys.path), list(sys.argv), os.getcwd()
    main = sys.modules["__main__"]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    threshold = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(threshold)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.modules["__main__"] = main
        sys.path[:], sys.argv[:] = search_path, arguments
        os.chdir(folder)
        asyncio.set_event_loop_policy(None)  # a bot finds asyncio as in a fresh interpreter


def _boot(script: str, stage: Stage) -> Boot:
    return Boot(
        protocol=PROTOCOL_VERSION,
        bot_id="warm",
        generation=1,
        master_pid=os.getppid(),
        token="1:nobody-has-this-token",
        base_url=stage.base_url,
        identity=IDENTITY,
        kind="script",
        entry=script,
        args=[],
        cwd="/",
        project_root="/",
        environment={},
        settings={},
        log_path="",
        log_max_bytes=0,
        marker="",
        heartbeat_interval_s=0.05,
        memory_cap_bytes=0,
    )


def _check_nothing_left(files_before: set[int]) -> None:
    left = [f"thread {thread.name}" for thread in threading.enumerate()[1:]]
    left += [what for fd, what in linux.open_files().items() if fd not in files_before]
    if left or linux.task_count() > 1:
        raise ZygoteError(f"the warm-up left {', '.join(left) or 'a thread'} behind")
