"""Turns a script's restart of itself into a restart by the supervisor.

Bots restart themselves with ``os.execl(sys.executable, sys.executable, *sys.argv)``. The new program would
know nothing of the pipe and would poll on its own, against the master.

Runs in: worker.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from bot_worker.runtime.notices import Notices

#: All of ``os.exec*`` end in these two.
_FUNCTIONS = ("execv", "execve")


@contextmanager
def exec_ends_the_script(notices: Notices, drain_soon: Callable[[], object]) -> Iterator[None]:
    """Make ``os.exec*`` in this process, not in those it forks, end the script as ``sys.exit()`` does.

    In another thread than the main one that would end nothing, so there ``drain_soon`` is called first.
    """
    pid = os.getpid()
    text = "the bot's os.exec… ended it instead; starting it again is the supervisor's job"

    def replacement(original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def end_script(*args: Any) -> NoReturn:
            if os.getpid() != pid:
                original(*args)
            notices.say("exec", text)
            if threading.current_thread() is not threading.main_thread():
                drain_soon()
            raise SystemExit(0)

        return end_script

    originals = {name: getattr(os, name) for name in _FUNCTIONS}
    for name, original in originals.items():
        setattr(os, name, replacement(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)
