"""Telegram's deliveries over TLS, through the nginx that operators are given, into real bots."""

import http.client
import json
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

import pytest

from tests.fixtures.fleet import Fleet, new_fleet
from tests.fixtures.nginx import RunningNginx, running_nginx
from tests.fixtures.sandbox import running_sandbox
from tests.ports import free_port
from tests.waiting import wait_until

SECRET = "a-secret-of-the-operator-0123456789"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[RunningNginx]:
    with running_nginx(tmp_path / "nginx", free_port()) as running:
        yield running


@pytest.fixture
def fleet(tmp_path: Path, nginx: RunningNginx) -> Iterator[Fleet]:
    """A fleet whose bots are delivered to, without bots, not started."""
    webhook = {"host": nginx.address, "port": nginx.upstream, "secret": SECRET}
    with (
        running_sandbox("--ca", str(nginx.certificate.cert)) as sandbox,
        new_fleet(tmp_path / "project", sandbox, mode="webhook", webhook=webhook) as made,
    ):
        sandbox.control.set_limits(webhook_pause_scale=0.02)
        yield made


def ask(
    nginx: RunningNginx,
    method: str,
    path: str,
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
    **headers: str,
) -> tuple[int, bytes]:
    """Send a stranger's request; returns status and body."""
    trusting = context or ssl.create_default_context(cafile=str(nginx.certificate.cert))
    connection = http.client.HTTPSConnection("127.0.0.1", nginx.port, context=trusting, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Content-Type": "application/json", **named})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def registered(fleet: Fleet, bot_id: str) -> bool:
    return bool(fleet.sandbox.control.state(fleet.bots[bot_id].telegram_id).webhook)


def failures(fleet: Fleet, bot_id: str) -> int:
    """Return how many deliveries to a bot have failed."""
    webhook = fleet.sandbox.control.state(fleet.bots[bot_id].telegram_id).webhook
    return 0 if webhook is None else webhook.failed


def start_registered(fleet: Fleet) -> None:
    fleet.start_and_wait()
    for bot_id in fleet.bots:
        wait_until(partial(registered, fleet, bot_id), 60.0, what=f"the webhook of {bot_id}")


def test_updates_come_through_and_answers_go_back(fleet: Fleet, nginx: RunningNginx):
    shop, support = fleet.add("shop"), fleet.add("support", mode="polling")
    fleet.start_and_wait()
    wait_until(lambda: registered(fleet, "shop"), what="the webhook")
    assert shop.ask("hello") == "hello"
    assert support.ask("hello too") == "hello too"
    shop.send(*map(str, range(200)))
    assert shop.wait_answers(201)[1:] == [str(number) for number in range(200)]
    worker = fleet.worker("shop")
    assert (worker.mode, worker.ingress, worker.inbox) == ("webhook", "ok", 0)
    assert fleet.worker("support").mode == "polling"
    webhook = fleet.status().webhook
    assert webhook is not None
    assert webhook.accepted == 201
    assert fleet.sandbox.control.state(shop.telegram_id).calls.get("getUpdates", 0) == 0
    assert '"POST /webhook/shop HTTP/1.1" 200' in nginx.log()
    with urlopen(f"http://127.0.0.1:{nginx.upstream}/webhook/stats", timeout=20) as answer:
        stats = json.load(answer)["bots"]["shop"]
    assert (stats["accepted"], stats["refused"]) == (201, {})
    assert stats["commit"]["count"] == 201


def test_a_restart_calls_nothing_that_is_as_it_should_be(fleet: Fleet):
    shop = fleet.add("shop")

    def calls(method: str) -> int:
        return fleet.sandbox.control.state(shop.telegram_id).calls.get(method, 0)

    start_registered(fleet)
    wait_until(lambda: calls("getWebhookInfo") >= 2, what="a look at what was set")
    assert shop.ask("hello") == "hello"
    before = calls("setWebhook")
    fleet.stop()
    shop.send("while nobody listens")
    fleet.start_and_wait()
    assert shop.wait_answers(2)[1] == "while nobody listens"
    assert calls("setWebhook") == before
    fleet.wait_handled("shop")


def test_kills_of_the_master_under_load_lose_and_reorder_nothing(fleet: Fleet):
    shop = fleet.add("shop")
    start_registered(fleet)
    for number in range(3):
        shop.send(*(f"{number}.{place}" for place in range(100)))
        wait_until(lambda: len(shop.answers()) > 40 + 100 * number, 60.0, what="answers")  # noqa: B023
        fleet.kill_master()
        fleet.start()
    fleet.wait_state("RUNNING")
    sent = [f"{number}.{place}" for number in range(3) for place in range(100)]
    wait_until(lambda: set(shop.answers()) == set(sent), 90.0, what="every answer")
    fleet.wait_handled("shop")
    first = list(dict.fromkeys(shop.answers()))
    assert first == sent


def test_hot_restarts_under_load_fail_no_delivery(fleet: Fleet):
    """Neither by nginx, whose connections to the supervisor go on, nor by the supervisor."""
    bots = [fleet.add(f"bot{number}") for number in range(3)]
    start_registered(fleet)
    assert fleet.process is not None
    sent, stop = 0, Event()

    def stream() -> None:
        nonlocal sent
        while not stop.wait(0.01):
            for bot in bots:
                bot.send(str(sent))
            sent += 1

    streaming = Thread(target=stream)
    streaming.start()
    try:
        for count in (1, 2):
            assert fleet.run("restart").returncode == 0
            assert fleet.status().master.hot_restarts == count
    finally:
        stop.set()
        streaming.join()
    for bot in bots:
        assert bot.wait_answers(sent, 60.0) == [str(number) for number in range(sent)]
        assert failures(fleet, bot.id) == 0


def test_a_bot_moves_between_webhook_and_polling_and_loses_nothing(fleet: Fleet):
    shop = fleet.add("shop")
    start_registered(fleet)
    sent = []
    for number, mode in enumerate(("polling", "webhook", "polling", "webhook"), 1):
        texts = [f"{number}.{place}" for place in range(60)]
        sent += texts
        shop.send(*texts[:30])
        fleet.entries["shop"]["mode"] = mode
        fleet.configure()
        assert fleet.run("reload").stdout == "shop: took in mode\n"
        shop.send(*texts[30:])
        shop.wait_answers(60 * number, 60.0)
        assert fleet.worker("shop").mode == mode
    assert shop.answers() == sent
    fleet.wait_handled("shop")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_strangers_get_nowhere(fleet: Fleet, nginx: RunningNginx):
    fleet.add("shop")
    start_registered(fleet)
    update = json.dumps({"update_id": 1, "message": {"message_id": 1}}).encode()
    wrong = ask(nginx, "POST", "/webhook/shop", update, X_Telegram_Bot_Api_Secret_Token="guess")
    unknown = ask(nginx, "POST", "/webhook/nobody", update, X_Telegram_Bot_Api_Secret_Token="guess")
    assert wrong == unknown
    assert wrong[0] == 401
    assert ask(nginx, "POST", "/webhook/shop", b"x" * (2 * 1024**2))[0] == 413
    assert ask(nginx, "GET", "/webhook/shop")[0] == 405
    assert ask(nginx, "GET", "/")[0] == 404
    assert ask(nginx, "GET", "/health")[0] == 200
    old = ssl.create_default_context(cafile=str(nginx.certificate.cert))
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(nginx, "GET", "/health", context=old)
    assert SECRET not in fleet.output() + nginx.log()


def test_what_a_client_claims_about_its_address_is_overwritten(tmp_path: Path):
    with running_nginx(tmp_path / "nginx", free_port()) as nginx:
        webhook = {"host": nginx.address, "port": nginx.upstream, "secret": SECRET, "networks": "enforce"}
        with (
            running_sandbox("--ca", str(nginx.certificate.cert)) as sandbox,
            new_fleet(tmp_path / "project", sandbox, mode="webhook", webhook=webhook) as fleet,
        ):
            sandbox.control.set_limits(webhook_pause_scale=0.02)
            shop = fleet.add("shop")
            start_registered(fleet)
            shop.send("from an address that is not Telegram's")
            wait_until(lambda: failures(fleet, "shop") > 2, what="refusals")
            claim = "149.154.160.1"
            status, _ = ask(nginx, "POST", "/webhook/shop", b"{}", X_Real_IP=claim, X_Forwarded_For=claim)
            assert status == 401
            fleet.sections["webhook"] = {**webhook, "telegram_networks": ["127.0.0.0/8"]}
            fleet.configure()
            assert fleet.run("reload").stdout == "applied: webhook.telegram_networks\n"
            assert shop.wait_answers(1) == ["from an address that is not Telegram's"]


def test_strangers_are_limited_and_an_unreachable_supervisor_is_answered_for(tmp_path: Path):
    with running_nginx(tmp_path / "nginx", free_port(), is_sender_known=False) as nginx:
        statuses = [ask(nginx, "POST", "/webhook/shop", b"{}")[0] for _ in range(6)]
    assert statuses == [503, 503, 503, 429, 429, 429]
