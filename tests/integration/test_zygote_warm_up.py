"""The zygote gets warm by running bots, leaves nothing behind, and says what keeps it from that."""

import json
import os
import subprocess
import sys

import pytest

from brama.messages import Refused
from tests.integration.zygote_master import REPOSITORY, Master

_BEFORE_AND_AFTER = """
import asyncio, json, os, signal, sys, threading
from bot_worker import linux, warm_up
from bot_worker.runtime import patches
from bot_worker.runtime.main import run

def state():
    return {
        "files": linux.open_files(), "threads": linux.task_count(), "environ": dict(os.environ),
        "arguments": sys.argv, "path": sys.path, "folder": os.getcwd(), "main": id(sys.modules["__main__"]),
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "children": open("/proc/thread-self/children").read(),
    }

patches.install()
before = state()
warm_up.warm_up(run, 1)
after = state()
asyncio.get_event_loop_policy().new_event_loop().close()
print(json.dumps([before, after, patches._worker is not None]))
"""


def _python(source: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_running_bots_leaves_the_process_as_it_was():
    done = _python(_BEFORE_AND_AFTER)
    assert done.stderr == ""
    before, after, bound = json.loads(done.stdout)
    assert before == after
    assert not bound  # the patches serve nobody until a worker runs


def test_a_machine_without_loopback_gets_a_zygote_nevertheless(tmp_path):
    (tmp_path / "no_loopback_zygote.py").write_text(
        "import asyncio, sys\n"
        "from bot_worker import zygote\n"
        "from tests.integration.zygote_probe import run\n"
        "async def refuse(*_, **__): raise OSError(99, 'Cannot assign requested address')\n"
        "asyncio.start_server = refuse\n"
        "sys.exit(zygote.main(sys.argv[1:], run))\n"
    )
    search = os.pathsep.join([str(REPOSITORY), str(tmp_path)])
    master = Master(tmp_path, module="no_loopback_zygote", environment={"PYTHONPATH": search})
    try:
        assert master.start().drain() == 0
        master.socket.close()
        _, errors = master.process.communicate(timeout=60)
        assert b"brama: zygote: no warm-up traffic, workers will be larger: " in errors
        assert b"Cannot assign requested address" in errors
    finally:
        master.close()


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("lambda boot, channel: 0", "it ended with 0 updates and 1 rounds to go"),
        (
            "lambda boot, channel: channel.send_now([BootFailed('build', 'no such thing')]) and 1",
            "build: no such thing",
        ),
        ("lambda boot, channel: channel.take_first(channel.send_now([FAILED]) * 60)", "KeyError: a b"),
    ],
)
def test_a_bot_that_does_not_run_makes_the_zygote_useless(run, said):
    done = _python(
        "from bot_worker import warm_up\n"
        "from brama.messages import BootFailed, Failed\n"
        "FAILED = Failed(1, 'KeyError', 'a\\nb', '', None, False, False)\n"
        f"warm_up.warm_up({run}, 1)"
    )
    assert f"ZygoteError: a bot does not run in the zygote: ZygoteError: {said}" in done.stderr


def test_what_makes_it_useless_is_told_to_the_master(tmp_path):
    (tmp_path / "leaky_zygote.py").write_text(
        "import sys\n"
        "from bot_worker import warm_up, zygote\n"
        "def leak(run, rounds):\n"
        "    global file\n"
        "    file = open('/dev/null')\n"
        "warm_up._rehearse = leak\n"
        "sys.exit(zygote.main(sys.argv[1:]))\n"
    )
    search = os.pathsep.join([str(REPOSITORY), str(tmp_path)])
    master = Master(tmp_path, module="leaky_zygote", environment={"PYTHONPATH": search})
    try:
        assert master.first == Refused("the warm-up left /dev/null behind")
        assert master.process.wait(60) == 78
    finally:
        master.close()


def test_a_rehearsal_that_takes_too_long_says_so():
    """Its bot answers nothing, as one that was stopped does."""
    done = _python(
        "import os\n"
        "from bot_worker.rehearsal import counterpart\n"
        "counterpart.LIMIT_S = 0.3\n"
        "with counterpart.counterpart(1) as stage:\n"
        "    while os.read(stage.pipe_fd, 65536): pass\n"
    )
    assert "ZygoteError: a bot does not run in the zygote: it was not through after 0.3 s" in done.stderr
