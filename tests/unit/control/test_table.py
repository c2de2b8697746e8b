"""What a status looks like on terminals of all widths, and in a file."""

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from supervisor.control.jobs_status import EngineState
from supervisor.control.policy.columns import choose_rows, lay_out
from supervisor.control.status import decode_status, encode_status
from supervisor.control.table import StatusTable, print_status
from tests.fakes_control import jobs_status, status, worker

LONG_REASON = (
    "the script /srv/bots/support.py does not import: ModuleNotFoundError: No module named 'requests'; "
    "install it, then: brama-supervisor start support"
)
FLEET = status(
    worker("shop", messages=12_401, pid=4720),
    worker("support", state="FATAL", reason=LONG_REASON, ingress="conflict", pid=None, uptime=0, errors=2),
)


def drawn(width: int, *, is_terminal: bool = True, fleet=FLEET, **options) -> str:
    out = StringIO()
    console = Console(
        file=out, width=width, height=24, force_terminal=is_terminal, color_system=None, _environ={}
    )
    if options:
        console.print(StatusTable(fleet, **options))
    else:
        print_status(fleet, console)
    return out.getvalue()


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 120, 160, 300])
def test_no_line_is_wider_than_the_terminal_and_the_reason_is_whole(width):
    text = drawn(width)
    assert max(map(len, text.splitlines())) <= width
    assert "".join(LONG_REASON.split()) in "".join(text.split()) or width >= 120
    for word in ("shop", "support", "RUNNING", "FATAL"):
        assert word in text


def test_a_wide_terminal_shows_the_reason_in_its_own_column():
    header, first, second = drawn(300).splitlines()[2:5]
    assert header.split() == [
        *("bot", "state", "ingress", "pid", "uptime", "messages", "errors", "restarts"),
        *("memory", "inbox", "in", "flight", "reason"),
    ]
    assert first.split() == [
        "shop",
        "RUNNING",
        "ok",
        "4720",
        "1m",
        "5s",
        "12,401",
        "0",
        "0",
        "8.0",
        "MB",
        "0",
        "0",
    ]
    assert second.startswith("support")
    assert second.rstrip().endswith(LONG_REASON)


def test_a_reason_that_is_wrapped_beside_the_table_loses_nothing():
    lines = drawn(140).splitlines()
    begin = lines[2].index("reason")
    beside = "".join(line[begin:].strip() for line in lines[4 : lines.index("", 4)])
    assert beside.replace(" ", "") == LONG_REASON.replace(" ", "")


def test_in_a_file_every_bot_keeps_to_one_line():
    text = drawn(80, is_terminal=False)
    (line,) = [line for line in text.splitlines() if line.startswith("support")]
    assert line.rstrip().endswith(LONG_REASON)
    assert "\x1b" not in text


def test_totals_stand_below():
    assert (
        drawn(120).splitlines()[-1] == "2 bots: 1 running, 1 fatal · inbox 0 · dead letters 0 · duplicates 3"
    )


def test_a_bounded_table_keeps_to_the_height_and_shows_trouble_first():
    many = status(*(worker(f"bot{number:03}") for number in range(200)), worker("ill", state="BACKOFF"))
    text = drawn(120, fleet=many, is_bounded=True, note="stopping 0/200")
    assert len(text.splitlines()) <= 24
    assert "ill" in text.splitlines()[3]
    assert "and 184 more" in text
    assert text.splitlines()[-1] == "stopping 0/200"


def test_a_fleet_without_bots():
    assert drawn(80, fleet=status()).splitlines()[-1].startswith("0 bots · inbox 0")


def test_bots_in_trouble_come_first_only_if_not_all_fit():
    calm, ill, poor = worker("calm"), worker("ill", state="FATAL"), worker("poor", ingress="outage")
    assert choose_rows([calm, poor, ill], 3) == (calm, poor, ill)
    assert choose_rows([calm, poor, ill], 2) == (ill, poor)
    assert lay_out(status(calm, poor, ill), None, 1).hidden == 2


def test_a_stopped_bot_is_no_trouble():
    stopped, calm = worker("stopped", state="STOPPED", wanted="STOPPED", ingress="off"), worker("calm")
    assert choose_rows([stopped, calm], 1) == (stopped,)


def with_jobs(**changes):
    return msgspec.structs.replace(FLEET, jobs=jobs_status(**changes))


def test_jobs_are_lines_below_the_totals():
    lines = drawn(200, fleet=with_jobs()).splitlines()
    workers = "2 workers: 1 running, 1 backoff"
    numbers = "waiting 3 · active 1 · delayed 0 · failed 2 · dead letters 2 · outbox 4"
    assert lines[-6:] == [
        f"jobs: server down · {workers} · {numbers}",
        "jobs: the Redis server: Connection refused",
        "jobs: paused: reports",
        "jobs: 1 alert not delivered: jobs.alert: answered 500",
        "job worker 1: RUNNING · pid 4712 · up 1m 5s · 43 MB · active 1 · done 120 · failed 2 · restarts 0",
        "job worker 2: BACKOFF · active 0 · done 0 · failed 0 · restarts 5 · exit code 1; again in 5 s",
    ]


def test_jobs_without_trouble_take_a_line_and_one_for_each_of_few_workers():
    well = with_jobs(
        engine=EngineState.OK,
        reason=None,
        server_pid=77,
        queues=(),
        alert=None,
        workers=jobs_status().workers[:1],
    )
    *_, first, second = drawn(200, fleet=well).splitlines()
    assert first.startswith("jobs: server ok (pid 77) · 1 worker: 1 running · waiting 3")
    assert second.startswith("job worker 1: RUNNING")


def test_of_many_job_workers_only_those_in_trouble_have_a_line():
    up, down = jobs_status().workers
    text = drawn(200, fleet=with_jobs(workers=(up, down, up, up, down, up, up)))
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith("job worker")] == [
        "job worker 2",
        "job worker 5",
    ]
    text = drawn(200, fleet=with_jobs(workers=(down,) * 7))
    assert text.splitlines()[-1] == "and 3 job workers more that are not up"


def test_a_client_of_before_and_a_master_of_before_understand_each_other():
    told = encode_status(with_jobs())
    assert decode_status(told).jobs == jobs_status()
    assert decode_status(encode_status(FLEET)).jobs is None
    older = msgspec.json.decode(told)
    del older["jobs"]
    assert decode_status(msgspec.json.encode(older)).jobs is None
