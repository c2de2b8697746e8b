"""The new code's side of a trial, as the command that a running master executes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from brama.exit_codes import ExitCode
from brama.marks import ZYGOTE_TITLE
from brama.messages import PROTOCOL_VERSION
from supervisor.handover.records import (
    FORMAT,
    ControlRecord,
    Handover,
    Proof,
    WebhookRecord,
    encode_handover,
)
from supervisor.platform.cache import CACHE_NAME
from supervisor.updates.inbox.schema import STATE_FILE, open_for_writing
from tests.integration.handover.test_program import handover
from tests.waiting import wait_until

COMMAND = str(Path(sys.executable).with_name("brama-supervisor"))
TOKEN = "1001:AAtesttesttesttesttesttesttesttest"
PLATFORM_TOKEN = "1002:AAtesttesttesttesttesttesttesttest"
PLATFORM = "http://127.0.0.1:9/bots"


class Project:
    """A configuration, and a state file that a running master has open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "brama.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        (folder / "shop.py").touch()
        self.write("")
        self.base_url = "https://api.telegram.org"
        self.draft = self.draft_for(ControlRecord("127.0.0.1", 0))

    def write(self, more: str) -> None:
        self.config.write_text(
            f"bots: [{{id: shop, token: '{TOKEN}', script: {self.folder}/shop.py}}]\n"
            f"state_dir: {self.state}\napi: {{port: 0}}\n{more}\n"
        )
        self.config.chmod(0o600)

    def replace(self, old: str, new: str) -> None:
        self.config.write_text(self.config.read_text().replace(old, new))

    def draft_for(self, control: ControlRecord, webhook: WebhookRecord | None = None) -> Handover:
        return msgspec.structs.replace(
            handover(-1, -1, -1),
            config=str(self.config),
            state_dir=str(self.state),
            base_url=self.base_url,
            control=control,
            webhook=webhook,
        )

    def try_out(self, environ: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [COMMAND, "prove"],
            input=encode_handover(self.draft),
            env={**os.environ, **environ},
            capture_output=True,
            timeout=60,
            check=False,
        )

    def proof(self) -> Proof:
        done = self.try_out()
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Proof)

    def refusal(self, code: ExitCode = ExitCode.FAILED) -> str:
        done = self.try_out()
        assert (done.returncode, done.stdout) == (code, b""), done.stderr
        return done.stderr.decode()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    with closing(open_for_writing(made.state / STATE_FILE, "normal")):
        yield made


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return everything in a folder but SQLite's index of the log, which readers write to as well."""
    return {
        str(each): (each.read_bytes(), each.stat().st_mtime_ns)
        for each in folder.rglob("*")
        if each.is_file() and not each.name.endswith("-shm")
    }


def test_it_says_what_it_is_and_leaves_no_trace(project: Project):
    before = contents(project.folder)
    assert project.proof().bots == {"shop": 1001}
    proof = project.proof()
    assert (proof.format, proof.protocol) == (FORMAT, PROTOCOL_VERSION)
    assert contents(project.folder) == before


def test_bots_of_the_platform_are_those_of_its_last_answer(project: Project):
    """The platform itself is not asked: it does not answer here."""
    project.write(f"bots_source: {{url: '{PLATFORM}'}}")
    answer = (
        f'{{"bots": [{{"id": "news", "token": "{PLATFORM_TOKEN}", "script": "{project.folder}/shop.py"}}]}}'
    )
    entry = f'{{"version":1,"url":"{PLATFORM}","fetched_utc":1.0,"etag":null,"answer":{answer}}}'
    (project.state / CACHE_NAME).write_text(entry)
    before = contents(project.folder)
    assert project.proof().bots == {"shop": 1001, "news": 1002}
    assert contents(project.folder) == before


def test_an_api_address_that_is_not_handed_over_must_be_free(project: Project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        project.replace("api: {port: 0}", f"api: {{port: {port}}}")
        assert f"api.port: 127.0.0.1:{port} is taken by another process" in project.refusal()
        project.draft = project.draft_for(ControlRecord("127.0.0.1", port))
        assert project.proof().bots == {"shop": 1001}


def test_a_webhook_address_that_is_not_handed_over_must_be_free(project: Project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = f"http://127.0.0.1:{port}"
        project.write(
            "telegram: {base_url: 'http://127.0.0.1:9'}\nmode: webhook\n"
            f"webhook: {{port: {port}, host: '{host}', secret: a-secret-of-the-operator-0123456789}}"
        )
        project.base_url = "http://127.0.0.1:9"
        control = ControlRecord("127.0.0.1", 0)
        project.draft = project.draft_for(control)
        assert f"webhook.port: 127.0.0.1:{port} is taken by another process" in project.refusal()
        project.draft = project.draft_for(control, WebhookRecord(None, port))
        assert project.proof().bots == {"shop": 1001}


def test_a_preload_that_fails_is_told(project: Project):
    (project.folder / "broken.py").write_text("raise RuntimeError('it has a bug')")
    project.write("zygote: {preload: [broken]}")
    words = project.refusal()
    assert "zygote.preload" in words
    assert "it has a bug" in words


def test_a_wrong_configuration_is_told_in_full(project: Project):
    project.write("limits: {max_workers: many}\nheartbeat: {interval: soon}")
    words = project.refusal(ExitCode.CONFIG)
    assert "limits.max_workers" in words
    assert "heartbeat.interval" in words


@pytest.mark.parametrize(
    ("key", "more"),
    [("state_dir", ""), ("telegram.base_url", "telegram: {base_url: 'http://127.0.0.1:9'}")],
)
def test_what_cannot_change_under_running_bots_is_refused(project: Project, key: str, more: str):
    project.write(more)
    if key == "state_dir":
        project.draft = msgspec.structs.replace(project.draft, state_dir="/elsewhere")
    assert f"{key}: is " in project.refusal()
    way_out = {
        "state_dir": "; change it back, stop, then change it, move the folder and start",
        "telegram.base_url": "; that needs brama-supervisor restart --cold",
    }
    assert way_out[key] in project.refusal()


def test_it_ends_with_the_master_that_tries_it(project: Project, tmp_path: Path):
    """A master that is killed can kill nobody; the zygote of the trial goes with it."""
    (tmp_path / "slow.py").write_text("import signal; signal.pause()")
    project.write("zygote: {preload: [slow]}")
    master = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([{COMMAND!r}, 'prove'], stdin=subprocess.PIPE)\n"
        "child.stdin.write(sys.stdin.buffer.read())\nchild.stdin.close()\n"
        "print(child.pid, flush=True)\nchild.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", master], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_handover(project.draft))
        process.stdin.close()
        pid = int(process.stdout.readline())
        children = Path(f"/proc/{pid}/task/{pid}/children")
        zygote = int(wait_until(lambda: children.read_text().split(), what="the zygote of the trial")[0])
        try:
            title = Path(f"/proc/{zygote}/cmdline")
            wait_until(
                lambda: title.read_bytes().startswith(ZYGOTE_TITLE.encode()), what="its own wish to end"
            )
            process.kill()
            for each in (pid, zygote):
                wait_until(lambda: _is_gone(each), what=f"the end of {each}")  # noqa: B023
        finally:
            process.kill()
            for each in (pid, zygote):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_dead_letters_that_cannot_be_read_hold_it_up_only_with_jobs(project: Project):
    (project.state / "jobs.db").write_bytes(b"no database at all, and longer than a header" * 100)
    project.proof()
    project.write("jobs: {enabled: true}")
    assert "jobs.db: file is not a database" in project.refusal()
