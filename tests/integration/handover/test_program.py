"""How the console script is found again, and how a process becomes the next master."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from supervisor.handover.program import VARIABLE, become, find_program, take_handover
from supervisor.handover.records import ControlRecord, Handover

SCRIPT = "#!/bin/sh\n"
#: Takes over, and prints how what it got looks like.
SUCCESSOR = """#!{python}
import json, os, sys
from supervisor.handover.program import VARIABLE, take_handover
there = [fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{{fd}}")]
inheritable = [fd for fd in there if os.get_inheritable(fd)]
left = take_handover()
descriptors = list(left.descriptors())
for fd in descriptors[:1]:
    os.write(fd, b"from the next one")
print(json.dumps({{
    "pid": os.getpid(),
    "arguments": sys.argv[1:],
    "inheritable": len(inheritable),
    "descriptors": descriptors,
    "inherits": [os.get_inheritable(fd) for fd in descriptors],
    "variable": os.environ.get(VARIABLE),
    "version": left.version,
    "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
}}))
"""
PREDECESSOR = """
import os, sys
from pathlib import Path
from supervisor.handover.program import become
from tests.integration.handover.test_program import handover
read, write = os.pipe()
spare = os.dup(read)
become(Path(sys.argv[1]), handover(write, read, spare))
"""


def handover(lock: int, unix: int, tcp: int) -> Handover:
    return Handover(
        version="0.0.1",
        program="/srv/brama-supervisor",
        config="/srv/brama.yaml",
        state_dir="/srv/state",
        base_url="http://127.0.0.1:1",
        is_daemon=False,
        has_table=False,
        started_at=0.0,
        hot_restarts=0,
        control=ControlRecord("127.0.0.1", 0, unix, tcp),
        webhook=None,
        bots=[],
        lock=lock,
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A console script in a release, to which ``current`` leads."""
    release = tmp_path / "one"
    release.mkdir()
    made = release / "brama-supervisor"
    made.write_text(SCRIPT)
    made.chmod(0o755)
    (tmp_path / "current").symlink_to(release)
    return made


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_links_are_kept(script: Path, tmp_path: Path):
    linked = tmp_path / "current" / "brama-supervisor"
    assert find_program(str(linked), {}) == linked
    assert find_program(f"{tmp_path}/current/../current/./brama-supervisor", {}) == linked


def test_the_working_directory_is_the_one_the_shell_came_by(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path / "current")
    linked = tmp_path / "current" / "brama-supervisor"
    assert find_program("./brama-supervisor", {"PWD": str(tmp_path / "current")}) == linked
    for wrong in ({}, {"PWD": str(tmp_path)}, {"PWD": "/nowhere"}, {"PWD": "."}):
        assert find_program("./brama-supervisor", wrong) == script


def test_without_a_script_it_is_the_one_beside_the_interpreter(script: Path, tmp_path: Path):
    beside = Path(sys.executable).with_name("brama-supervisor")
    script.chmod(0o644)
    for argument in (str(script), str(tmp_path), str(tmp_path / "gone"), "-c", "-m"):
        assert find_program(argument, {}) == beside


def test_there_is_no_handover_without_the_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert take_handover() is None


def test_the_next_one_gets_everything_and_passes_nothing_on(tmp_path: Path):
    program = tmp_path / "next"
    program.write_text(SUCCESSOR.format(python=sys.executable))
    program.chmod(0o755)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", PREDECESSOR, str(program)], stdout=subprocess.PIPE, env=environ
    ) as process:
        said = json.loads(process.communicate(timeout=60)[0])
    assert said["pid"] == process.pid
    assert said["arguments"] == ["start", "--config", "/srv/brama.yaml"]
    assert said["inheritable"] == 4, "three descriptors and the memory"
    assert said["inherits"] == [False] * 3
    assert said["variable"] is None
    assert said["version"] == "0.0.1"
    # The last is the listing's own.
    assert [fd for fd in said["open"] if fd > 2][:-1] == sorted(said["descriptors"])


def test_what_cannot_be_executed_leaves_all_as_it_was(tmp_path: Path, pipe: tuple[int, int]):
    read, write = pipe
    spare = os.dup(read)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        become(tmp_path / "gone", handover(write, read, spare))
    assert os.listdir("/proc/self/fd") == before
    assert not any(map(os.get_inheritable, (read, write, spare)))
    assert VARIABLE not in os.environ
    os.close(spare)


def test_a_handover_that_cannot_be_read_is_not_tried_twice(monkeypatch: pytest.MonkeyPatch):
    memory = os.memfd_create("nonsense")
    os.write(memory, msgspec.msgpack.encode({}))
    os.lseek(memory, 0, os.SEEK_SET)
    monkeypatch.setenv(VARIABLE, str(memory))
    with pytest.raises(Exception, match="cannot be read"):
        take_handover()
    assert VARIABLE not in os.environ
    with pytest.raises(OSError):
        os.fstat(memory)
