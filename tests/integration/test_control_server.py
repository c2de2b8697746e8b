"""The control API over real sockets."""

import asyncio
import os
import socket
import stat

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from brama.errors import BramaError, ConfigError, StateError
from supervisor.control.ports import Health, Verb
from supervisor.control.server import ControlServer
from supervisor.control.socket_path import MAX_PATH_BYTES, socket_path
from supervisor.control.status import decode_status
from tests.fakes_control import FakeMaster, jobs_status, letter, serve, worker

TOKEN = "a-long-api-token-made-for-this-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def master():
    return FakeMaster(
        worker("shop"), worker("support"), letters=[letter(17), letter(18, "support"), letter(19)]
    )


@pytest.fixture
async def server(master, tmp_path):
    server = serve(master, tmp_path, TOKEN)
    await server.start()
    yield server
    await server.aclose()


@pytest.fixture
async def tcp(server):
    host, port = server.tcp_address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session


@pytest.fixture
async def unix(server, tmp_path):
    connector = aiohttp.UnixConnector(str(tmp_path / "brama.sock"))
    async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
        yield session


async def test_the_status_document_has_the_published_fields_in_order(tcp, master):
    async with tcp.get("/api/workers/status") as answer:
        assert answer.status == 200
        document = await answer.json()
    assert list(document) == ["master", "totals", "workers", "orphans", "webhook", "platform", "jobs"]
    assert list(document["master"]) == [
        *("pid", "version", "uptime_ms", "state", "config", "reload_problems"),
        *("hot_restarts", "renewing", "restart_problems", "renewal_obstacle", "cut_short"),
    ]
    assert list(document["totals"]) == ["bots", "running", "inbox", "dead_letters", "duplicates", "sleeping"]
    assert list(document["workers"][0]) == [
        *("bot_id", "state", "wanted", "reason", "mode", "ingress", "pid", "generation", "messages"),
        *("errors", "restarts", "uptime", "memory_bytes", "heartbeat_age_ms", "in_flight"),
        *("oldest_in_flight_ms", "inbox", "mode_configured", "switches", "telegram_pending"),
        *("telegram_error", "overridden", "origin", "idle_timeout_ms", "idle_ms", "wakes"),
    ]
    assert document["workers"][0]["reason"] is None
    assert document["totals"]["bots"] == 2


async def test_health_is_the_masters(tcp, master):
    async with tcp.get("/health") as answer:
        assert (answer.status, await answer.json()) == (200, {"ok": True, "state": "running", "reason": None})
    master.healthy = Health(ok=False, state="stalled", reason="inbox: No space left on device")
    async with tcp.get("/health") as answer:
        assert answer.status == 503
        assert (await answer.json())["reason"] == "inbox: No space left on device"


async def test_metrics_are_prometheus_own_format_and_labelled_by_bot_alone(tcp, master):
    master.workers["ill"] = worker("ill", state="FATAL", ingress="off", pid=None, messages=0, memory_bytes=0)
    async with tcp.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(await answer.text()))
    samples = {
        (each.name, *each.labels.items()): each.value for family in families for each in family.samples
    }
    assert samples["brama_bot_up", ("bot", "shop")] == 1
    assert samples["brama_bot_up", ("bot", "ill")] == 0
    assert samples["brama_bot_messages_total", ("bot", "shop")] == 12
    assert samples["brama_bot_uptime_seconds", ("bot", "shop")] == 65
    assert samples["brama_bots", ("state", "FATAL")] == 1
    assert samples["brama_duplicates_total",] == 3
    assert {label for _, *labels in samples for label, _ in labels} == {"bot", "state", "version"}


async def test_metrics_of_jobs_are_labelled_by_queue_worker_state_and_cause(tcp, master):
    master.jobs = jobs_status()
    async with tcp.get("/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    samples = {
        (each.name, *each.labels.items()): each.value
        for family in families
        for each in family.samples
        if each.name.startswith("brama_jobs_")
    }
    assert samples["brama_jobs_engine_up",] == 0
    assert samples["brama_jobs_queue", ("queue", "reports"), ("state", "waiting")] == 3
    assert samples["brama_jobs_queue_paused", ("queue", "reports")] == 1
    assert samples["brama_jobs_dead_letters", ("cause", "timeout")] == 2
    assert samples["brama_jobs_outbox",] == 4
    assert samples["brama_jobs_worker_up", ("worker", "1")] == 1
    assert samples["brama_jobs_worker_up", ("worker", "2")] == 0
    assert samples["brama_jobs_worker_completed_total", ("worker", "1")] == 120
    assert samples["brama_jobs_worker_failed_total", ("worker", "1")] == 2
    assert samples["brama_jobs_worker_restarts_total", ("worker", "2")] == 5
    assert samples["brama_jobs_worker_memory_bytes", ("worker", "1")] == 45_000_000
    assert samples["brama_jobs_alerts_failed_total",] == 7
    assert samples["brama_jobs_alerts_waiting",] == 1


async def test_the_socket_is_the_owners_alone_and_goes_with_the_server(master, tmp_path):
    server = serve(master, tmp_path)
    await server.start()
    path = tmp_path / "brama.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.aclose()
    assert not path.exists()


async def test_a_dead_masters_socket_is_replaced(master, tmp_path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "brama.sock"))
    stale.close()
    server = serve(master, tmp_path)
    await server.start()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "brama.sock"))) as session,
        session.get("http://localhost/health") as answer,
    ):
        assert answer.status == 200
    await server.aclose()


async def test_a_file_in_the_sockets_place_is_left_alone(master, tmp_path):
    (tmp_path / "brama.sock").write_text("mine")
    with pytest.raises(StateError, match=r"brama\.sock.*is no socket.*remove it"):
        await serve(master, tmp_path).start()
    assert (tmp_path / "brama.sock").read_text() == "mine"


async def test_a_long_state_directory_gets_a_socket_elsewhere(master, tmp_path):
    state_dir = tmp_path / ("d" * 120)
    state_dir.mkdir()
    path = socket_path(state_dir)
    assert len(os.fsencode(path)) <= MAX_PATH_BYTES
    assert path == socket_path(state_dir)
    assert path != socket_path(tmp_path / ("e" * 120))
    server = serve(master, state_dir)
    await server.start()
    try:
        connector = aiohttp.UnixConnector(str(path))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://x/health") as found,
        ):
            assert found.status == 200
    finally:
        await server.aclose()
        path.parent.rmdir()


async def test_an_occupied_port_is_one_line_that_names_the_key(master, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = ControlServer(
            master, state_dir=tmp_path, host="127.0.0.1", port=port, token=None, stop_timeout_s=1
        )
        with pytest.raises(
            BramaError, match=rf"^api\.port: 127\.0\.0\.1:{port} is taken.*set another api\.port"
        ):
            server.bind()
        await server.aclose()
    assert not (tmp_path / "brama.sock").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_other_addresses_need_a_token(master, tmp_path, host):
    server = ControlServer(master, state_dir=tmp_path, host=host, port=0, token="", stop_timeout_s=1)
    with pytest.raises(ConfigError, match=r"api\.host.*set api\.token"):
        server.bind()


async def test_an_address_of_another_machine(master, tmp_path):
    server = ControlServer(
        master, state_dir=tmp_path, host="192.0.2.1", port=0, token=TOKEN, stop_timeout_s=1
    )
    with pytest.raises(BramaError, match=r'api\.host: "192\.0\.2\.1" is no address of this machine'):
        server.bind()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/workers/shop/stop"),
        ("POST", "/api/commands"),
        ("POST", "/api/stop"),
        ("GET", "/api/dead-letters"),
        ("GET", "/api/dead-letters/17?body=1"),
        ("POST", "/api/dead-letters/replay"),
        ("POST", "/api/dead-letters/drop"),
    ],
)
async def test_over_tcp_changes_and_messages_need_the_token(tcp, master, method, path):
    async with tcp.request(method, path, json={}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "secret" not in await answer.text()
    async with tcp.request(method, path, json={}, headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 401
    assert not master.commands
    assert not master.stop_requested.is_set()
    assert len(master.letters) == 3


async def test_over_tcp_nothing_changes_without_a_configured_token(master, tmp_path):
    server = serve(master, tmp_path)
    await server.start()
    host, port = server.tcp_address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        async with session.post("/api/stop", headers=BEARER) as answer:
            assert answer.status == 403
            assert "api.token" in (await answer.json())["error"]
        async with session.get("/api/workers/status") as answer:
            assert answer.status == 200
    await server.aclose()
    assert not master.stop_requested.is_set()


async def test_pages_of_other_origins_gain_nothing(tcp):
    for headers in ({"Host": "rebound.example"}, {"Origin": "http://evil.example"}):
        async with tcp.get("/api/workers/status", headers=headers) as answer:
            assert answer.status == 403
            assert "shop" not in await answer.text()
            assert "Access-Control-Allow-Origin" not in answer.headers
    async with tcp.options("/api/stop", headers={"Origin": "http://evil.example"}) as answer:
        assert answer.status == 403


async def test_a_bot_is_commanded_with_the_token(tcp, master):
    async with tcp.post("/api/workers/shop/restart", headers=BEARER) as answer:
        assert answer.status == 200
        assert await answer.json() == {"results": [{"bot_id": "shop", "state": "RUNNING", "detail": ""}]}
    assert master.commands == [(Verb.RESTART, ("shop",))]


async def test_several_bots_are_commanded_or_none(unix, master):
    async with unix.post("/api/commands", json={"verb": "stop", "bots": ["shop", "suport"]}) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "no bot is named 'suport'; did you mean support?"
    assert not master.commands
    async with unix.post(
        "/api/commands", json={"verb": "stop", "bots": ["support", "shop", "shop"]}
    ) as answer:
        assert answer.status == 200
    async with unix.post("/api/commands", json={"verb": "start"}) as answer:
        assert answer.status == 200
    assert master.commands == [(Verb.STOP, ("support", "shop")), (Verb.START, None)]


async def test_the_master_can_refuse(unix, master):
    master.refusal = "the master is stopping"
    async with unix.post("/api/workers/shop/start") as answer:
        assert (answer.status, await answer.json()) == (409, {"error": "the master is stopping"})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "truncated"),
        (b"[]", "array"),
        (b'{"verb": "explode"}', "explode"),
        (b'{"verb": "stop", "bot": "shop"}', "bot"),
        (b'{"verb": "stop", "bots": [1]}', r"\$.bots"),
    ],
)
async def test_a_wrong_body_is_named(unix, master, body, named):
    async with unix.post("/api/commands", data=body) as answer:
        assert answer.status == 400
        assert named.replace("\\", "") in (await answer.json())["error"]
    assert not master.commands


async def test_a_body_that_is_too_large_is_refused(unix):
    async with unix.post("/api/commands", data=b"x" * 300_000) as answer:
        assert answer.status == 413
        assert "error" in await answer.json()


async def test_paths_and_methods_that_do_not_exist(tcp):
    async with tcp.get("/api/nothing") as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "GET /api/nothing: Not Found"})
    async with tcp.get("/api/stop", headers=BEARER) as answer:
        assert answer.status == 405
    async with tcp.post("/api/workers/shop/explode", headers=BEARER) as answer:
        assert answer.status == 404


async def test_no_answer_shows_a_traceback(tcp, master):
    master.crash = RuntimeError("the inside of the master")
    async with tcp.get("/api/workers/status") as answer:
        assert answer.status == 500
        text = await answer.text()
    assert "inside" not in text
    assert "Traceback" not in text
    assert "master.log" in text


async def test_stop_answers_at_once_with_the_deadline(unix, master):
    async with unix.post("/api/stop") as answer:
        assert answer.status == 202
        assert await answer.json() == {"pid": os.getpid(), "deadline_s": 10.0}
    assert master.stop_requested.is_set()


async def test_dead_letters_are_listed_without_what_people_wrote(unix):
    async with unix.get("/api/dead-letters", params={"limit": "2"}) as answer:
        first = await answer.json()
        assert "secret" not in await answer.text()
    assert [each["id"] for each in first["dead_letters"]] == [19, 18]
    async with unix.get("/api/dead-letters", params={"limit": "2", "before": first["next"]}) as answer:
        second = await answer.json()
    assert ([each["id"] for each in second["dead_letters"]], second["next"]) == ([17], None)
    async with unix.get("/api/dead-letters", params={"bot": "support"}) as answer:
        assert [each["id"] for each in (await answer.json())["dead_letters"]] == [18]


async def test_a_dead_letters_body_is_shown_on_request(unix, master):
    async with unix.get("/api/dead-letters/17") as answer:
        view = await answer.json()
        assert view["body"] is None
        assert view["letter"]["reason"] == "handler_error"
        assert view["traceback"].startswith("Traceback")
    async with unix.get("/api/dead-letters/17?body=1") as answer:
        assert (await answer.json())["body"] == '{"text": "a secret"}'
    master.letters[17] = letter(17, raw=b"\xff{")
    async with unix.get("/api/dead-letters/17?body=1") as answer:
        assert (await answer.json())["body"] == "\\xff{"
    async with unix.get("/api/dead-letters/99") as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "there is no dead letter 99"})


async def test_dead_letters_are_replayed_all_or_none(unix, master):
    async with unix.post("/api/dead-letters/replay", json={"ids": [17, 99]}) as answer:
        assert answer.status == 404
        assert "99" in (await answer.json())["error"]
    assert not master.replayed
    async with unix.post("/api/dead-letters/replay", json={"ids": [17, 17]}) as answer:
        assert await answer.json() == {"count": 1}
    async with unix.post("/api/dead-letters/drop", json={"bot": "shop"}) as answer:
        assert await answer.json() == {"count": 1}
    assert (master.replayed, master.dropped) == ([17], [19])


@pytest.mark.parametrize(
    "body", [{}, {"ids": [17], "bot": "shop"}, {"ids": "17"}, {"ids": list(range(1001))}]
)
async def test_a_selection_means_ids_or_a_bot(unix, master, body):
    async with unix.post("/api/dead-letters/drop", json=body) as answer:
        assert answer.status == 400
    assert not master.dropped


async def test_progress_is_the_counts_alone(tcp, master):
    master.workers["ill"] = worker("ill", state="FATAL", reason="no token", pid=None)
    async with tcp.get("/api/progress") as answer:
        found = await answer.json()
    assert (found["wanted"], found["up"], found["settled"], found["alive"]) == (3, 2, 3, 2)
    assert found["troubles"] == [{"bot_id": "ill", "state": "FATAL", "reason": "no token"}]


async def test_a_connection_that_is_kept_open_does_not_hold_the_end_up(master, tmp_path):
    server = serve(master, tmp_path)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "brama.sock"))
    writer.write(b"GET /api/workers/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(10):
        await server.aclose()
        await reader.read()
    writer.close()


def test_a_status_survives_the_wire(master):
    from supervisor.control.status import encode_status

    assert decode_status(encode_status(master.status())) == master.status()
