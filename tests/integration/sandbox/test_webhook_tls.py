"""Delivery over TLS: whose certificate a webhook may show."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.fixtures.sandbox import RunningSandbox, running_sandbox
from tests.integration.sandbox.certificates import (
    Authority,
    Certificate,
    make_authority,
    make_self_signed,
)
from tests.integration.sandbox.receiver import listening
from tests.integration.sandbox.webhooks import BOT, info, is_drained, say, set_webhook, webhook_of
from tests.waiting import await_until

NOT_TRUSTED = "SSL error {error:0A000086:SSL routines::certificate verify failed}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def trusting_of_module(authority: Authority) -> Iterator[RunningSandbox]:
    with running_sandbox("--ca", str(authority.root.path)) as running:
        yield running


@pytest.fixture
def trusting(trusting_of_module: RunningSandbox) -> RunningSandbox:
    """A sandbox that knows nothing, trusts the authority, and pauses a hundredth of Telegram's time."""
    trusting_of_module.control.reset()
    trusting_of_module.control.set_limits(webhook_pause_scale=0.01)
    return trusting_of_module


async def upload(sandbox: RunningSandbox, url: str, certificate: bytes) -> tuple[int, str]:
    """Set a webhook with a certificate of its own; returns status and description."""
    form = aiohttp.FormData({"url": url})
    form.add_field("certificate", certificate, filename="cert.pem")
    async with (
        aiohttp.ClientSession() as http,
        http.post(sandbox.api_url(BOT, "setWebhook"), data=form) as response,
    ):
        return response.status, (await response.json())["description"]


async def is_refused(sandbox: RunningSandbox) -> str:
    """Wait until deliveries failed more than once; returns the error that is shown."""
    await await_until(lambda: webhook_of(sandbox).failed >= 2)
    told = await info(sandbox)
    assert told["pending_update_count"] == 1
    # No connection is left half open when the webhook ends.
    sandbox.control.block_webhook(BOT)
    await await_until(lambda: webhook_of(sandbox).under_way == 0)
    return str(told["last_error_message"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "bots.localhost"])
async def test_a_certificate_of_a_known_root_is_good(
    trusting: RunningSandbox, authority: Authority, host: str
) -> None:
    shown = authority.issue("any", "IP:127.0.0.1", "DNS:localhost", "DNS:bots.localhost")
    async with listening(shown.server()) as receiver:
        await set_webhook(trusting, receiver.url(host, "https"))
        await say(trusting, 7, "{n}", 3)
        await is_drained(trusting)
        assert receiver.taken_texts == ["1", "2", "3"]
        assert len({received.peer for received in receiver.received}) == 1
    assert "last_error_message" not in await info(trusting)


async def test_a_given_address_changes_nothing_about_the_name(
    trusting: RunningSandbox, authority: Authority
) -> None:
    # 8443 and the like are Telegram's rule for hosts that are not this machine; the port is not ours here.
    async with listening(authority.issue("bots.localhost", "DNS:bots.localhost").server()) as receiver:
        await set_webhook(trusting, receiver.url("bots.localhost", "https"), ip_address="127.0.0.1")
        await say(trusting, 7, "hello")
        await is_drained(trusting)
        assert receiver.received[0].headers["Host"] == "bots.localhost"


@pytest.mark.parametrize("alternative", ["IP:127.0.0.2", "DNS:127.0.0.1.example.com"])
async def test_a_certificate_of_another_host_is_refused(
    trusting: RunningSandbox, authority: Authority, alternative: str
) -> None:
    async with listening(authority.issue("other", alternative).server()) as receiver:
        await set_webhook(trusting, receiver.url(scheme="https"))
        await say(trusting, 7, "hello")
        assert await is_refused(trusting) == NOT_TRUSTED
        assert receiver.received == []


async def test_a_certificate_of_an_unknown_root_is_refused(trusting: RunningSandbox, tmp_path: Path) -> None:
    shown = make_self_signed(tmp_path, "127.0.0.1", "IP:127.0.0.1")
    async with listening(shown.server()) as receiver:
        await set_webhook(trusting, receiver.url(scheme="https"))
        await say(trusting, 7, "hello")
        assert await is_refused(trusting) == NOT_TRUSTED
        assert receiver.received == []


@pytest.mark.parametrize(
    ("host", "name", "alternatives"),
    [
        ("127.0.0.1", "127.0.0.1", ()),
        ("127.0.0.1", "127.0.0.1", ("IP:127.0.0.1",)),
        ("127.0.0.1", "any", ("DNS:127.0.0.1",)),
        ("localhost", "localhost", ()),
        ("localhost", "any", ("DNS:localhost",)),
    ],
)
async def test_an_uploaded_certificate_is_its_own_root(
    trusting: RunningSandbox, tmp_path: Path, host: str, name: str, alternatives: tuple[str, ...]
) -> None:
    shown = make_self_signed(tmp_path, name, *alternatives)
    async with listening(shown.server()) as receiver:
        url = receiver.url(host, "https")
        assert await upload(trusting, url, shown.path.read_bytes()) == (200, "Webhook was set")
        await say(trusting, 7, "hello")
        await is_drained(trusting)
        assert receiver.taken_texts == ["hello"]
    assert (await info(trusting))["has_custom_certificate"] is True
    assert webhook_of(trusting).has_custom_certificate


async def refused_upload(sandbox: RunningSandbox, shown: Certificate, uploaded: Certificate) -> str:
    async with listening(shown.server()) as receiver:
        await upload(sandbox, receiver.url(scheme="https"), uploaded.path.read_bytes())
        await say(sandbox, 7, "hello")
        refusal = await is_refused(sandbox)
        assert receiver.received == []
        return refusal


async def test_an_uploaded_certificate_is_the_only_root(
    trusting: RunningSandbox, authority: Authority, tmp_path: Path
) -> None:
    shown = authority.issue("127.0.0.1", "IP:127.0.0.1")
    uploaded = make_self_signed(tmp_path, "127.0.0.1")
    assert await refused_upload(trusting, shown, uploaded) == NOT_TRUSTED


async def test_an_uploaded_certificate_of_another_address_is_refused(
    trusting: RunningSandbox, tmp_path: Path
) -> None:
    shown = make_self_signed(tmp_path, "127.0.0.2", "IP:127.0.0.1")
    assert await refused_upload(trusting, shown, shown) == NOT_TRUSTED


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff\xfe"])
async def test_what_is_no_certificate_cannot_be_uploaded(trusting: RunningSandbox, content: bytes) -> None:
    assert await upload(trusting, "https://127.0.0.1:1/", content) == (
        400,
        "Bad Request: bad webhook: Failed to set custom certificate file",
    )


async def test_a_server_without_tls_is_said(trusting: RunningSandbox) -> None:
    async with listening() as receiver:
        await set_webhook(trusting, receiver.url(scheme="https"))
        await say(trusting, 7, "hello")
        assert await is_refused(trusting) == "SSL error {error:0A00010B:SSL routines::wrong version number}"
