"""The sandbox against the real python-telegram-bot client."""

from sandbox.client import SandboxClient
from tests.fixtures.sandbox import RunningSandbox


async def test_an_echo_conversation(sandbox: RunningSandbox) -> None:
    written = sandbox.control.send_messages(1001, chat_id=7, text="hello {n}", count=3)
    async with sandbox.client(1001) as bot:
        assert bot.username == "bot1001_bot"
        updates = await bot.get_updates()
        assert [update.update_id for update in updates] == written.update_ids
        assert [update.message.text for update in updates if update.message] == [
            "hello 1",
            "hello 2",
            "hello 3",
        ]
        for update in updates:
            assert update.message is not None
            answer = await update.message.reply_text(f"echo {update.message.text}")
            assert answer.chat.id == 7
        assert await bot.get_updates(offset=updates[-1].update_id + 1, timeout=0) == ()
    async with SandboxClient(sandbox.base_url) as client:
        sent = await client.sent(1001, count=3, wait_s=5)
        assert [call.params["text"] for call in sent] == ["echo hello 1", "echo hello 2", "echo hello 3"]
        state = await client.state(1001)
    assert state.pending == 0
    assert state.confirmed == 3
