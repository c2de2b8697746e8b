"""Bots that the platform's API lists: a real server, the installed command, real bots."""

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from supervisor.control.status import PlatformStatus
from tests.fixtures.fleet import Fleet
from tests.waiting import wait_until

KEY = "the-platforms-own-key-0123456789"


class Platform:
    """An API that lists what the test says."""

    def __init__(self) -> None:
        self.bots: list[dict[str, Any]] = []
        self.raw: bytes | None = None
        self.status = 200
        self.asked: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/bots"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = (
                    platform.raw if platform.raw is not None else json.dumps({"bots": platform.bots}).encode()
                )
                tag = f'"{hash(body)}"'
                known = self.headers.get("If-None-Match")
                platform.asked.append(known)
                status = platform.status if self.headers.get("Authorization") == f"Bearer {KEY}" else 401
                if status == 200 and known == tag:
                    status = 304
                self.send_response(status)
                self.send_header("ETag", tag)
                self.send_header("Content-Length", str(len(body) if status == 200 else 0))
                self.end_headers()
                if status == 200:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    yield made
    made.close()


@pytest.fixture
def fleet(fleet: Fleet, platform: Platform) -> Fleet:
    fleet.sections["bots_source"] = {"url": platform.url, "token": KEY, "interval": "1s"}
    return fleet


def move_to_platform(fleet: Fleet, platform: Platform, *bot_ids: str) -> None:
    """Have the platform list bots that would stand in the file."""
    for bot_id in bot_ids:
        platform.bots.append(fleet.entries.pop(bot_id))


def platform_status(fleet: Fleet) -> PlatformStatus:
    status = fleet.status().platform
    assert status is not None
    return status


def test_bots_of_the_platform_run_beside_the_files_and_follow_its_list(fleet: Fleet, platform: Platform):
    shop, support, news = fleet.add("shop"), fleet.add("support"), fleet.add("news")
    move_to_platform(fleet, platform, "support", "news")
    fleet.start_and_wait()
    for bot in (shop, support, news):
        assert bot.ask("hello") == "hello"
    assert [worker.origin for worker in fleet.status().workers] == ["file", "platform", "platform"]
    pids = {worker.bot_id: worker.pid for worker in fleet.status().workers}
    platform.bots = [{**platform.bots[0], "settings": {"greeting": "ciao"}}]
    wait_until(lambda: len(fleet.status().workers) == 2, what="news to leave")
    assert support.ask("setting greeting") == "ciao"
    assert {worker.bot_id: worker.pid for worker in fleet.status().workers} == {
        name: pids[name] for name in ("shop", "support")
    }
    asked = len(platform.asked)
    wait_until(lambda: len(platform.asked) > asked + 1, what="further questions")
    assert None not in platform.asked[asked + 1 :], "an unchanged answer is not sent again"
    assert len(fleet.events("platform.fetched")) == 2


def test_a_malformed_answer_changes_nothing_and_status_says_so(fleet: Fleet, platform: Platform):
    shop = fleet.add("shop")
    move_to_platform(fleet, platform, "shop")
    fleet.start_and_wait()
    for raw in (b"<html>", b"null", b"[]", b"{}", b'{"bots": [{"id": "other"}]}', b'{"bots": null}'):
        platform.raw = raw
        wait_until(lambda: not platform_status(fleet).ok, what=f"a word about {raw!r}")
        platform.raw = None
        wait_until(lambda: platform_status(fleet).ok, what="the recovery")
    platform.raw = b'{"bots": [{"id": "a b", "token": 7}, {"id": "ok", "script": "x.py", "colour": "red"}]}'
    [refused] = wait_until(
        lambda: [each for each in fleet.events("platform.refused") if "colour" in str(each)], what="refusal"
    )
    assert len(refused["faults"]) >= 3
    assert "serving 1 bot of an answer" in fleet.run("status").stdout
    assert shop.ask("still here") == "still here"
    assert fleet.pid("shop") == fleet.worker("shop").pid


def test_the_last_good_answer_serves_while_the_platform_is_away(fleet: Fleet, platform: Platform):
    shop = fleet.add("shop")
    move_to_platform(fleet, platform, "shop")
    fleet.start_and_wait()
    cache = fleet.state_dir / "bots_source.json"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    fleet.stop()
    platform.status = 503
    fleet.start_and_wait("shop")
    assert shop.ask("hello") == "hello"
    status = platform_status(fleet)
    assert (status.ok, status.from_cache, status.bots) == (False, True, 1)
    assert "503" in status.detail
    assert "read from disk at the start" in fleet.run("status").stdout
    platform.status = 200
    wait_until(lambda: platform_status(fleet).ok, what="the recovery")
    assert not platform_status(fleet).from_cache


def test_the_file_wins_with_one_warning(fleet: Fleet, platform: Platform):
    shop = fleet.add("shop", settings={"greeting": "of the file"})
    platform.bots = [
        {**fleet.entries["shop"], "settings": {"greeting": "of the platform"}},
        {**fleet.entries["shop"], "id": "same-token"},
    ]
    platform.bots[0]["token"] = fleet.sandbox.token(4000)
    fleet.start_and_wait("shop")
    assert shop.ask("setting greeting") == "of the file"
    assert [worker.bot_id for worker in fleet.status().workers] == ["shop"]
    asked = len(platform.asked)
    wait_until(lambda: len(platform.asked) > asked + 1, what="further questions")
    warned = [event["detail"] for event in fleet.events("configuration.warned")]
    assert [line.split('"')[1] for line in warned] == ["shop", "same-token"]


def test_a_command_overrides_the_platform_until_both_agree(fleet: Fleet, platform: Platform):
    fleet.add("shop")
    move_to_platform(fleet, platform, "shop")
    fleet.start_and_wait()
    assert fleet.run("stop", "shop").returncode == 0
    fleet.stop()
    fleet.start()
    fleet.wait_state("STOPPED", "shop")
    assert fleet.worker("shop").overridden
    platform.bots = [{**platform.bots[0], "enabled": False}]
    wait_until(lambda: not fleet.worker("shop").overridden, what="both to agree")
    platform.bots = [{**platform.bots[0], "enabled": True}]
    fleet.wait_state("RUNNING", "shop")


def test_another_platform_and_none_are_taken_into_use_by_a_reload(fleet: Fleet, platform: Platform):
    shop = fleet.add("shop")
    move_to_platform(fleet, platform, "shop")
    source = fleet.sections.pop("bots_source")
    fleet.start()
    wait_until(lambda: (fleet.state_dir / "brama.sock").exists(), 60.0, what="the master")
    fleet.sections["bots_source"] = source
    fleet.configure()
    assert "applied: bots_source.url" in fleet.run("reload").stdout
    assert shop.ask("hello") == "hello"
    del fleet.sections["bots_source"]
    fleet.configure()
    assert "shop: finishes what it has begun and stops" in fleet.run("reload").stdout
    wait_until(lambda: not fleet.status().workers, what="shop to leave")
    assert fleet.status().platform is None


def test_no_key_and_no_token_is_told_to_anybody(fleet: Fleet, platform: Platform):
    shop = fleet.add("shop")
    move_to_platform(fleet, platform, "shop")
    fleet.start_and_wait()
    platform.bots.append({"id": "x", "token": shop.token, "script": "x.py"})
    wait_until(lambda: fleet.events("platform.refused"), what="the refusal")
    written = fleet.output() + (fleet.folder / "logs" / "master.log").read_text()
    for secret in (KEY, shop.token):
        assert secret not in written
        assert secret not in fleet.run("status").stdout
