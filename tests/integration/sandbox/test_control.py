"""The control API and its two clients."""

import threading

import aiohttp
import pytest

from sandbox import calls
from sandbox.calls import SandboxError
from sandbox.client import SandboxClient, SandboxControl
from tests.fixtures.sandbox import RunningSandbox

BOT = 1001
CHAT = 7


def test_both_clients_offer_every_call() -> None:
    table = {name for name, value in vars(calls).items() if callable(value) and name[0].islower()}
    table -= {"dataclass", "field", "urlencode"}
    for client in (SandboxClient, SandboxControl):
        assert table <= set(dir(client))


async def test_both_clients_say_the_same(sandbox: RunningSandbox) -> None:
    sandbox.control.send_messages(BOT, CHAT, "hello")
    async with SandboxClient(sandbox.base_url) as client:
        assert await client.bots() == sandbox.control.bots()
        assert await client.updates(BOT) == sandbox.control.updates(BOT)
        assert await client.state(BOT) == sandbox.control.state(BOT)
        with pytest.raises(SandboxError, match="chat_id 0 is no chat"):
            await client.send_messages(BOT, 0, "hello")


def test_updates_wait_for_a_bot_that_was_never_seen(sandbox: RunningSandbox) -> None:
    written = sandbox.control.send_messages(BOT, CHAT, "{n}", count=5)
    first = written.update_ids[0]
    assert written.update_ids == list(range(first, first + 5))
    state = sandbox.control.state(BOT)
    assert (state.pending, state.confirmed, state.last_update_id) == (5, 0, first + 4)
    assert not sandbox.control.bots()[0].seen


def test_the_ids_of_a_bot_are_the_same_in_every_run(sandbox: RunningSandbox) -> None:
    first = sandbox.control.send_messages(BOT, CHAT, "x").update_ids
    sandbox.control.reset()
    assert sandbox.control.bots() == []
    assert sandbox.control.send_messages(BOT, CHAT, "x").update_ids == first
    assert sandbox.control.send_messages(BOT + 1, CHAT, "x").update_ids != first


def test_many_bots_are_written_to_at_once(sandbox: RunningSandbox) -> None:
    batch = [{"bot": BOT + number, "chat_id": CHAT, "text": "{n}", "count": number} for number in (1, 2, 3)]
    assert [len(injected.update_ids) for injected in sandbox.control.send_batch(batch)] == [1, 2, 3]
    assert sum(bot.pending for bot in sandbox.control.world_state().bots) == 6
    with pytest.raises(SandboxError, match="positive id"):
        sandbox.control.send_batch([{"chat_id": CHAT, "text": "x"}])


async def test_sent_is_waited_for(sandbox: RunningSandbox) -> None:
    found: list[list[calls.SentCall]] = []

    def wait() -> None:
        found.append(sandbox.control.sent(BOT, after=1, wait_s=30, count=2))

    thread = threading.Thread(target=wait)
    thread.start()
    async with sandbox.client(BOT) as bot, sandbox.client(BOT + 1) as other:
        for text in ("one", "two", "three"):
            await other.send_message(CHAT, "of another bot")
            await bot.send_message(CHAT, text)
    thread.join(30)
    assert [(call.index, call.params["text"]) for call in found[0]] == [(2, "two"), (3, "three")]
    assert found[0][0].at_ms <= found[0][1].at_ms
    assert [call.bot for call in sandbox.control.sent(count=6)] == [BOT + 1, BOT] * 3
    assert sandbox.control.sent(BOT, after=3, wait_s=0.05) == []
    assert sandbox.control.sent(BOT, method="sendPhoto") == []


async def test_calls_are_counted_and_intake_is_not_listed(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        await bot.delete_webhook()
        await bot.get_updates()
        await bot.send_chat_action(CHAT, "typing")
    state = sandbox.control.state(BOT)
    assert state.calls == {"getMe": 1, "deleteWebhook": 1, "getUpdates": 1, "sendChatAction": 1}
    assert (state.me_calls, state.polls, state.sent) == (1, 1, 1)
    assert state.first_poll_at_ms is not None
    assert sandbox.control.world_state().process_cpu_s > 0


async def test_a_chat_is_waited_for(sandbox: RunningSandbox) -> None:
    async with SandboxClient(sandbox.base_url) as client:
        before = await client.chat(BOT, CHAT)
        assert (await client.chat(BOT, CHAT, after=before.version, wait_s=0.05)).version == before.version
        waiting = client.chat(BOT, CHAT, after=before.version, wait_s=30)
        sandbox.control.send_messages(BOT, CHAT, "hello")
        assert [message["text"] for message in (await waiting).messages] == ["hello"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/control/bots", b"{}", "missing required field `token`"),
        ("/control/bots", b'{"token":"x"}', "make a token"),
        ("/control/bots/1/messages", b"{", "Expecting property name"),
        ("/control/bots/1/messages", b'{"chat_id":1,"text":"x","cuont":2}', "unknown field `cuont`"),
        ("/control/bots/1/messages", b'{"chat_id":1,"text":"x","count":0}', "count 0 is not 1 to"),
        ("/control/bots/one/messages", b"{}", "bot 'one' is not a number"),
        ("/control/bots/0/messages", b"{}", "positive number"),
        ("/control/bots/1/updates", b'[{"message":{}},1]', "Expected `object`"),
        ("/control/limits", b'{"strict_chats":1}', "Expected `bool`"),
    ],
)
def test_what_a_wrong_request_is_told(
    sandbox_of_module: RunningSandbox, path: str, body: bytes, words: str
) -> None:
    status, answer = sandbox_of_module.ask(path, body)
    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.com"},
        {"Host": "127.0.0.1.evil.example.com"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_other_origins_are_refused(
    sandbox_of_module: RunningSandbox, headers: dict[str, str]
) -> None:
    status, answer = sandbox_of_module.ask("/control/reset", None, headers)
    assert status == 403
    assert "error" in answer


def test_the_own_page_is_not_refused(sandbox_of_module: RunningSandbox) -> None:
    headers = {"Origin": sandbox_of_module.base_url, "Sec-Fetch-Site": "same-origin"}
    assert sandbox_of_module.ask("/control/bots", None, headers, "GET")[0] == 200
    port = sandbox_of_module.base_url.rpartition(":")[2]
    by_name = {"Host": f"localhost:{port}"}
    assert sandbox_of_module.ask("/control/bots", None, by_name, "GET")[0] == 200


async def test_a_connection_survives_a_refused_body(sandbox: RunningSandbox) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(f"{sandbox.base_url}/control/messages", data=b"x" * 100_000) as response:
                assert response.status == 400
