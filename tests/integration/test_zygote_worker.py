"""What a worker is when the first line of bot code runs, and how it ends."""

import os
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bot_worker import child
from brama.frames import encode_frame
from brama.marks import comm_mark
from brama.messages import PROTOCOL_VERSION, BootFailed, Drain
from tests.integration.zygote_master import INSTANCE, Master, Worker, WorkerError, token_of
from tests.waiting import wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture(scope="module")
def stage() -> Iterator[Master]:
    """A master with a warm zygote for all tests here, in a folder that every user may enter."""
    with TemporaryDirectory(prefix="brama-test-") as folder:
        Path(folder).chmod(0o755)
        master = Master(Path(folder))
        yield master
        master.close()


@pytest.fixture
def master(stage: Master) -> Iterator[Master]:
    """The same one, with no worker and no log of another test."""
    for log in stage.folder.glob("worker_*.log*"):
        log.unlink()
    yield stage
    for worker in stage.workers:
        worker.close()
    stage.workers.clear()


# --- what it is ---------------------------------------------------------------------------------------


def test_it_is_the_masters_child_in_its_own_session_and_dies_with_the_master(master):
    worker = master.start()
    assert worker.ask("import os\nos.getppid()") == os.getpid()
    assert worker.ask("os.getsid(0)") == worker.ask("os.getpgid(0)") == worker.pid
    assert _death_signal(worker) == signal.SIGKILL


def test_it_is_recognised_by_title_comm_and_marker(master):
    worker = master.start()
    title = Path(f"/proc/{worker.pid}/cmdline").read_bytes().rstrip(b"\0")
    assert title == b"brama: bot shop"
    assert Path(f"/proc/{worker.pid}/comm").read_text() == f"{comm_mark(INSTANCE)}\n"
    executed = worker.ask("import subprocess\nsubprocess.check_output(['env']).decode()")
    assert f"BRAMA_WORKER={INSTANCE}/shop/1\n" in executed
    worker.ask(
        "import os\n"
        "reader, writer = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(writer, open('/proc/self/comm', 'rb').read())\n"
        "    os._exit(0)\n"
        "os.wait()[1]"
    )
    assert worker.ask("os.read(reader, 99).decode()") == f"{comm_mark(INSTANCE)}\n"


def test_its_environment_is_what_its_boot_says_and_the_marker(master):
    worker = master.start(environment={"DB": "shop.db", "TZ": "Asia/Tokyo", "LANG": "C.UTF-8"})
    assert worker.ask("import os\ndict(os.environ)") == {
        "DB": "shop.db",
        "TZ": "Asia/Tokyo",
        "LANG": "C.UTF-8",
        "BRAMA_WORKER": f"{INSTANCE}/shop/1",
    }
    assert worker.ask("import time\ntime.strftime('%Z %z', time.localtime(0))") == "JST +0900"


def test_modules_are_found_on_its_own_python_path(master):
    (master.folder / "library").mkdir(exist_ok=True)
    (master.folder / "library" / "only_of_shop.py").write_text("answer = 42\n")
    worker = master.start(environment={"PYTHONPATH": str(master.folder / "library")})
    assert worker.ask("import only_of_shop\nonly_of_shop.answer") == 42
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        master.start("other").ask("import only_of_shop\n0")


def test_a_variable_that_cannot_be_is_said(master):
    detail, code = master.refusal(environment={"A=B": "c"})
    assert code == 78
    assert "illegal environment variable name" in detail


def test_it_holds_its_pipe_and_its_log_and_no_other_file(master):
    worker = master.start()
    files = {int(name): os.readlink(f"/proc/{worker.pid}/fd/{name}")
             for name in os.listdir(f"/proc/{worker.pid}/fd")}  # fmt: skip
    log = str(master.log_path())
    assert (files.pop(0), files.pop(1), files.pop(2)) == (os.devnull, log, log)
    (pipe,) = files.values()
    assert pipe.startswith("socket:")
    assert worker.ask("import os\nos.get_inheritable(channel._fd)") is False


def test_signals_are_as_in_a_fresh_interpreter(master):
    worker = master.start()
    status = dict(
        line.split(":\t")
        for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert int(status["SigBlk"], 16) == 0
    # Above 31 are the realtime signals, which whoever started the tests may ignore for reasons of its own.
    ignored = int(status["SigIgn"], 16) & (1 << 31) - 1
    assert ignored == 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    handler = worker.ask("import signal\nrepr(signal.getsignal(signal.SIGINT))")
    assert "default_int_handler" in handler


def test_asyncio_threads_and_collector_are_as_in_a_fresh_interpreter(master):
    worker = master.start()
    assert worker.ask("import gc\ngc.isenabled()")
    assert worker.ask("import threading\nthreading.active_count()") == 1
    assert (
        worker.ask(
            "import warnings, asyncio\nwarnings.simplefilter('ignore')\nasyncio.get_event_loop().is_running()"
        )
        is False
    )
    assert worker.ask("import logging\nlogging.root.handlers == [] and logging.root.manager.disable == 0")
    assert worker.ask("logging.root.level == logging.WARNING")


def test_its_limits(master):
    cap = 40_000_000
    worker = master.start(memory_cap_bytes=cap)
    worker.ask("import resource as r\nlimits = (r.RLIMIT_DATA, r.RLIMIT_CORE, r.RLIMIT_NOFILE)\n1")
    data, core, files = worker.ask("[r.getrlimit(limit) for limit in limits]")
    assert data[0] == data[1] >= 2 * cap + 20_000_000
    assert core == [0, 0]
    assert files[0] <= 4096
    assert files[1] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(Path(f"/proc/{worker.pid}/oom_score_adj").read_text()) >= 500
    assert worker.ask("import os\nos.umask(0)") & 0o022 == 0o022


def test_a_leak_meets_a_memory_error_before_the_machine_does(master):
    cap = 20_000_000
    worker = master.start(memory_cap_bytes=cap)
    worker.ask(
        "held = []\n"
        "def leak():\n"
        "    try:\n"
        "        while len(held) < 1000: held.append(bytearray(1_000_000))\n"
        "    except MemoryError: return len(held)\n"
        "1"
    )
    assert 20 <= worker.ask("leak()") <= 40
    assert worker.ask("held.clear() or 'alive'") == "alive"


def test_siblings_share_no_random_numbers_and_no_keys(master):
    draw = (
        "import random, uuid, multiprocessing\n"
        "[random.random(), uuid.uuid4().hex, multiprocessing.current_process().authkey.hex()]"
    )
    first, second = master.start("one").ask(draw), master.start("two").ask(draw)
    assert not set(first) & set(second)


def test_http_clients_share_one_tls_context_and_own_ones_are_left_alone(master):
    worker = master.start()
    worker.ask("import httpx, ssl\ncontext = lambda **k: httpx.AsyncHTTPTransport(**k)._pool._ssl_context\n1")
    assert worker.ask("context() is context()")
    assert worker.ask("context(verify=False) is not context()")
    assert worker.ask("context(verify=False).verify_mode == ssl.CERT_NONE != context().verify_mode")
    assert worker.ask("own = ssl.create_default_context()\ncontext(verify=own) is own")
    assert worker.ask("httpx.create_ssl_context() is not context()")


def test_it_is_small(master):
    worker = master.start()
    assert worker.ask("from bot_worker import linux\nlinux.uss_bytes()") < master.first.rss_anon_bytes / 4


# --- secrets ------------------------------------------------------------------------------------------


def test_a_token_is_in_its_own_workers_memory_only(master):
    first = master.start("first")
    second = master.start("second")
    token = token_of("first").encode()
    assert first.ask("boot.token") == token.decode()
    assert _memory_has(first.pid, token)
    assert not _memory_has(second.pid, token)
    assert not _memory_has(master.process.pid, token)
    assert _memory_has(master.process.pid, b"BRAMA_ZYGOTE")  # what is there is found
    for pid in (first.pid, second.pid, master.process.pid):
        for name in ("cmdline", "environ"):
            assert token not in Path(f"/proc/{pid}/{name}").read_bytes()


@as_root
def test_with_a_uid_of_its_own_it_can_read_and_signal_no_sibling(master):
    first = master.start("first", uid=23001, gid=23001)
    second = master.start("second", uid=23002, gid=23002)
    assert second.ask("import os\n[os.getresuid(), os.getresgid(), os.getgroups()]") == [
        [23002] * 3,
        [23002] * 3,
        [],
    ]
    for action in (
        f"open('/proc/{first.pid}/environ', 'rb').read()",
        f"open('/proc/{first.pid}/mem', 'rb')",
        f"os.listdir('/proc/{first.pid}/fd')",
        f"os.kill({first.pid}, 0)",
        f"open({str(master.log_path('first'))!r})",
        "os.setuid(0)",
        "os.setgroups([0])",
    ):
        with pytest.raises(WorkerError, match="PermissionError"):
            second.ask(f"{action} and 1")
    assert _death_signal(second) == signal.SIGKILL
    assert second.ask("'NoNewPrivs:\\t1' in open('/proc/self/status').read()")
    assert second.ask("print('mine') or os.stat(boot.log_path).st_uid") == 23002
    assert master.log_path("second").read_text() == "mine\n"


@as_root
def test_with_a_uid_of_its_own_home_is_a_folder_it_can_use(master):
    own = master.folder / "own"
    own.mkdir(exist_ok=True)
    os.chown(own, 23001, 23001)
    worker = master.start(uid=23001, gid=23001, cwd=str(own), environment={"HOME": "/root"})
    assert worker.ask("import os\nos.path.expanduser('~')") == str(own)
    worker = master.start("other", uid=23001, gid=23001, cwd="/", environment={"HOME": str(own)})
    assert worker.ask("import os\nos.path.expanduser('~')") == str(own)


def test_a_uid_without_root_is_refused_with_the_way_out(monkeypatch):
    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(child, "drop_privileges", refuse)
    with pytest.raises(
        child._CannotBootError, match=r"isolation.uids: only root may become uid 23001; run the"
    ):
        child._isolate(23001, 23001, os.getppid())


# --- a boot that cannot be ----------------------------------------------------------------------------


def test_a_log_that_cannot_be_written_is_said(master):
    (master.folder / "a_file").write_text("")
    path = master.folder / "a_file" / "x.log"
    assert master.refusal(log_path=str(path)) == (
        f"logs_dir: {path} cannot be written: Not a directory; make it writable or set logs_dir",
        78,
    )


def test_another_protocol_is_refused(master):
    detail, code = master.refusal(protocol=99)
    assert code == 78
    assert detail.startswith(f"the master speaks protocol 99, this worker {PROTOCOL_VERSION}: ")


@pytest.mark.parametrize(
    ("first_bytes", "said"),
    [
        (encode_frame(b"\xc1"), "not a message for a worker"),
        (b"\xff\xff\xff\xff", "is over the limit"),
        (encode_frame(b"\x91\x91\xa5Drain"), "the master's first message is a Drain"),
    ],
)
def test_a_first_frame_that_is_no_boot_is_refused(master, first_bytes, said):
    worker = master.fork()
    worker.send_bytes(first_bytes)
    answer = worker.receive()
    assert isinstance(answer, BootFailed)
    assert said in answer.detail
    assert worker.exit_code() == 78


def test_it_ends_when_the_pipe_is_closed_before_its_boot(master):
    worker = master.fork()
    worker.pipe.close()
    assert worker.exit_code() == 69


def test_a_boot_of_another_master_is_for_nobody_here(master):
    worker = master.fork()
    worker.send(master.boot(master_pid=1))
    assert worker.exit_code() == 69
    assert not master.log_path().exists()


def test_messages_behind_the_boot_are_kept(master):
    worker = master.fork()
    worker.send(master.boot(), Drain())
    assert worker.exit_code() == 0


# --- its end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "code", "logged"),
    [
        ("5", 5, ""),
        ("exit(75)", 75, ""),
        ("exit()", 0, ""),
        ("exit('cannot go on')", 1, "cannot go on\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("(_ for _ in ()).throw(KeyboardInterrupt)", 130, ""),
    ],
)
def test_its_exit_code_is_what_a_program_would_have(master, ending, code, logged):
    worker = master.start()
    worker.tell(f"exit:{ending}")
    assert worker.exit_code() == code
    assert master.log_path().read_text().endswith(logged)


def test_exit_functions_run_and_threads_and_executors_are_waited_for(master):
    worker = master.start()
    worker.ask(
        "import atexit, threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "go = threading.Event()\n"
        "threading.Thread(target=lambda: go.wait() and print('thread')).start()\n"
        "pool = ThreadPoolExecutor(1)\n"
        "task = pool.submit(lambda: go.wait() and print('executor'))\n"
        "atexit.register(lambda: print('atexit', end='.'))\n"
        "threading.Timer(0.05, go.set).start()\n"
        "print('unfinished line', end=' ')\n"
        "1"
    )
    assert worker.drain() == 0
    lines = master.log_path().read_text()
    assert sorted(lines.replace("unfinished line ", "").split()) == ["atexit.", "executor", "thread"]
    assert lines.endswith("atexit.")


def test_an_exit_that_hangs_is_cut_off_and_keeps_its_code(master):
    worker = master.start()
    worker.ask("import atexit, threading\nfrom bot_worker import ending\nending.LIMIT_S = 0.1\n1")
    worker.ask("atexit.register(threading.Event().wait) and 1")
    worker.tell("exit:7")
    assert worker.exit_code() == 7
    assert master.log_path().read_text() == "brama: the exit took over 0.1 s and was cut off\n"


def test_an_abort_shows_every_stack_in_the_log(master):
    worker = master.start()
    worker.tell(
        "import threading, time\nthreading.Thread(target=threading.Event().wait).start()\ntime.sleep(600)"
    )
    wait_until(lambda: len(os.listdir(f"/proc/{worker.pid}/task")) == 2)
    os.kill(worker.pid, signal.SIGABRT)
    assert worker.exit_code() == -signal.SIGABRT
    log = master.log_path().read_text()
    assert log.startswith("Fatal Python error: Aborted")
    assert log.count("most recent call first") == 2
    assert stat.S_IMODE(master.log_path().stat().st_mode) == 0o600


def _death_signal(worker: Worker) -> int:
    """Return the worker's parent-death signal (PR_GET_PDEATHSIG)."""
    worker.ask("import ctypes\nfound = ctypes.c_int()\nctypes.CDLL(None).prctl(2, ctypes.byref(found))")
    return int(worker.ask("found.value"))


def _memory_has(pid: int, needle: bytes) -> bool:
    """Return whether readable private memory of the process holds ``needle``."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, modes, *rest = line.split()
            if modes.startswith("rw") and "[v" not in rest[-1]:
                start, end = (int(part, 16) for part in addresses.split("-"))
                memory.seek(start)
                if needle in memory.read(end - start):
                    return True
    return False
