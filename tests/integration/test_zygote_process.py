"""The zygote itself: what it starts as, what it refuses, when it ends."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brama.messages import ForkFailed, Refused, Warm
from tests.integration.zygote_master import PROBE, REPOSITORY, Master
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """A master with a warm zygote."""
    master = Master(tmp_path_factory.mktemp("zygote"), environment={"LANG": "C.UTF-8"})
    yield master
    master.close()


def _refused(folder: Path, preload: str) -> str:
    master = Master(folder, preload=[preload])
    try:
        assert isinstance(master.first, Refused)
        assert master.process.wait(60) == 78
        return master.first.detail
    finally:
        master.close()


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_says_that_it_is_warm(master):
    assert isinstance(master.first, Warm)
    assert master.first.pid == master.process.pid
    assert master.first.rss_anon_bytes > 20_000_000
    assert master.first.data_bytes >= master.first.rss_anon_bytes


def test_it_is_one_thread_in_a_session_of_its_own_and_named(master):
    pid = master.process.pid
    status = _status(pid)
    assert status["Threads"] == "1"
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0") == b"brama: zygote"
    assert status.get("THP_enabled", "0") == "0"


def test_it_holds_its_socket_and_no_other_file(master):
    files = {int(name): os.readlink(f"/proc/{master.process.pid}/fd/{name}")
             for name in os.listdir(f"/proc/{master.process.pid}/fd")}  # fmt: skip
    sockets = [name for name in files.values() if name.startswith("socket:")]
    assert len(sockets) == 1
    assert set(files) - {0, 1, 2} == {fd for fd, name in files.items() if name == sockets[0]}
    assert files[0] == os.devnull


def test_ctrl_c_is_not_its_business(master):
    ignored = int(_status(master.process.pid)["SigIgn"], 16)
    assert ignored & 1 << signal.SIGINT - 1


def test_a_burst_is_answered_in_order(master):
    workers = master.fork_batch(40)
    assert len({worker.pid for worker in workers}) == 40
    parents = {
        Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1] for worker in workers
    }
    assert parents == {str(os.getpid())}
    for number, worker in enumerate(workers):
        worker.send(master.boot(f"bot{number}"))
        worker.receive()
        assert worker.ask("boot.bot_id") == f"bot{number}"
        assert worker.drain() == 0


def test_it_ends_when_its_master_closes_the_socket(tmp_path):
    master = Master(tmp_path)
    master.socket.close()
    assert master.process.wait(60) == 0
    master.close()


def test_it_ends_with_one_line_at_a_request_it_does_not_understand(tmp_path):
    master = Master(tmp_path)
    master.socket.send(b"\xc1 no request")
    _, errors = master.process.communicate(timeout=60)
    assert master.process.returncode == 1
    assert errors == b"brama: zygote: a request came without a pipe\n"
    master.close()


def test_zygote_and_workers_die_with_the_master(tmp_path):
    doomed = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.zygote_doomed_master", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    with doomed:
        assert doomed.stdout is not None
        pids = [int(pid) for pid in doomed.stdout.readline().split()]
        assert len(pids) == 3
        watched = [os.pidfd_open(pid) for pid in pids]
        doomed.kill()
    for fd in watched:
        assert select.select([fd], [], [], 30)[0]
        os.close(fd)


# --- zygote.preload -----------------------------------------------------------------------------------


def test_a_preloaded_module_is_there_before_a_worker_starts(tmp_path):
    (tmp_path / "shared_library.py").write_text("import os\nloaded_by = os.getpid()\n")
    master = Master(tmp_path, preload=["shared_library", "html.parser"])
    try:
        worker = master.start()
        assert worker.ask("import sys\nsys.modules['shared_library'].loaded_by") == master.process.pid
        assert worker.ask("'html.parser' in sys.modules")
        assert not worker.ask("boot.project_root in sys.path")
        assert worker.drain() == 0
    finally:
        master.close()


def test_a_preloaded_module_that_starts_a_thread_is_refused_by_name(tmp_path):
    (tmp_path / "threaded.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True, name='poller').start()\n"
    )
    assert _refused(tmp_path, "threaded") == (
        'zygote.preload: "threaded" starts a thread ("poller"), which no fork would have; '
        "remove it from zygote.preload, then each bot that uses it imports it for itself"
    )


def test_a_preloaded_module_that_does_not_import_is_refused_by_name(tmp_path):
    detail = _refused(tmp_path, "not_there_at_all")
    assert detail.startswith(
        'zygote.preload: "not_there_at_all" does not import: ModuleNotFoundError: No module'
    )
    assert "\n" not in detail


def test_a_preloaded_module_that_keeps_a_file_open_is_refused_by_name(tmp_path):
    (tmp_path / "opener.py").write_text(f"file = open({str(tmp_path / 'opener.py')!r})\n")
    detail = _refused(tmp_path, "opener")
    assert detail.startswith(f'zygote.preload: "opener" leaves {tmp_path / "opener.py"} open')


# --- forks that fail ----------------------------------------------------------------------------------

_FAILING_FORK = """
import errno, os, sys
from bot_worker import zygote
from {probe} import run

fork, calls = os.fork, 0

def failing():
    global calls
    calls += 1
    if warm and calls == {failing_call}:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

warm = False
os.fork = failing
serve = zygote.serve

def serve_when_warm(control, run):
    global warm, calls
    warm, calls = True, 0
    serve(control, run)

zygote.serve = serve_when_warm
sys.exit(zygote.main(sys.argv[1:], run))
"""


@pytest.mark.parametrize("failing_call", [1, 2])
def test_a_fork_that_fails_is_answered_and_the_next_one_works(tmp_path, failing_call):
    (tmp_path / "failing_zygote.py").write_text(_FAILING_FORK.format(probe=PROBE, failing_call=failing_call))
    search = os.pathsep.join([str(REPOSITORY), str(tmp_path)])
    master = Master(tmp_path, module="failing_zygote", environment={"PYTHONPATH": search})
    try:
        here, there = os.pipe()
        master.request("shop", there)
        os.close(here)
        os.close(there)
        assert master.hear() == ForkFailed("shop", 1, "fork: Resource temporarily unavailable")
        if failing_call == 1:  # in the second case each new intermediate inherits a count of one
            assert master.start("other").drain() == 0
    finally:
        master.close()


def test_no_intermediate_is_left(master):
    pid = master.process.pid
    master.fork_batch(3)
    wait_until(lambda: not Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
