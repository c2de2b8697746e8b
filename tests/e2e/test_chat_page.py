"""The chat page in a real browser, talking to a bot."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, ReplyKeyboardMarkup, Update

from tests.e2e.browser import Page, open_browser
from tests.fixtures.sandbox import RunningSandbox

BOT = 1001
PERSON = 1
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

LAST_STAMP = "document.querySelector('#log article:last-child .stamp')"
LAST_MEDIA = "document.querySelector('#log article:last-child .media')"


@pytest.fixture
async def page(sandbox: RunningSandbox, tmp_path: Path) -> AsyncIterator[Page]:
    async with open_browser(tmp_path / "profile") as opened:
        await opened.open(f"{sandbox.base_url}/")
        yield opened


@pytest.fixture
async def bot(sandbox: RunningSandbox) -> AsyncIterator[Bot]:
    sandbox.control.add_bot(sandbox.token(BOT), username="shop_bot", first_name="Shop <b>")
    async with sandbox.client(BOT) as client:
        yield client


async def next_update(bot: Bot, after: Update | None = None) -> Update:
    """Return the next update; the bot long-polls meanwhile, as a running one does."""
    offset = None if after is None else after.update_id + 1
    for _ in range(5):
        updates = await bot.get_updates(offset=offset, timeout=10, limit=1)
        if updates:
            return updates[0]
    raise AssertionError("nobody wrote to the bot")


def rows(last: int) -> str:
    bubbles = "[...document.querySelectorAll('#log article .bubble')]"
    return f"{bubbles}.slice(-{last}).map((bubble) => bubble.firstChild.data)"


async def test_a_conversation_in_the_browser(page: Page, bot: Bot) -> None:
    await page.wait_for("document.querySelector('#name').textContent === 'Shop <b>'")

    # A bot that polls has a green dot.
    waiting = asyncio.create_task(next_update(bot))
    await page.wait_for(f"document.querySelector('#bots [data-bot=\"{BOT}\"] .face.polling') !== null")
    await page.wait_for("document.querySelector('#status').textContent.includes('online')")

    # What a person types arrives, commands marked as such.
    await page.evaluate("document.getElementById('text').focus()")
    await page.type("/start & <go>")
    await page.press_enter()
    update = await waiting
    assert update.message is not None
    assert update.message.text == "/start & <go>"
    assert list(update.message.parse_entities(["bot_command"]).values()) == ["/start"]
    assert update.effective_user is not None
    assert update.effective_user.id == PERSON

    # What the bot answers appears as it is, and none of it runs.
    hostile = await bot.send_message(PERSON, HOSTILE)
    await page.wait_for(
        f"document.querySelectorAll('#log article').length === 2 && {rows(1)}[0] !== undefined"
    )
    assert await page.evaluate(f"{rows(1)}[0]") == HOSTILE
    assert await page.evaluate("document.querySelectorAll('#log img, #log script').length") == 0
    assert await page.evaluate("document.title") == "Bot sandbox"

    # An edit changes the message where it stands, a deletion removes it.
    await hostile.edit_text("changed")
    await page.wait_for(f"{rows(1)}[0] === 'changed'")
    await page.wait_for(
        "document.querySelector('#log article:last-child .stamp').textContent.startsWith('edited')"
    )
    await hostile.delete()
    await page.wait_for("document.querySelectorAll('#log article').length === 1")

    # A pressed button is a callback query; its answer is shown.
    buttons = [
        InlineKeyboardButton("Buy", callback_data="buy"),
        InlineKeyboardButton("Ask", callback_data="ask"),
    ]
    await bot.send_message(PERSON, "What now?", reply_markup=InlineKeyboardMarkup.from_row(buttons))
    await page.click("#log .inline button")
    update = await next_update(bot, update)
    assert update.callback_query is not None
    assert update.callback_query.data == "buy"
    await update.callback_query.answer("Bought <i>it</i>")
    await page.wait_for("document.querySelector('.toast')?.textContent === 'Bought <i>it</i>'")
    await page.wait_for("document.querySelector('#log .inline button[aria-busy]') === null")
    await page.click("#log .inline button:last-child")
    update = await next_update(bot, update)
    assert update.callback_query is not None
    await update.callback_query.answer("Are you sure?", show_alert=True)
    await page.wait_for("document.querySelector('#alert[open] p')?.textContent === 'Are you sure?'")
    await page.click("#alert button")

    # A reply keyboard says what is on its key.
    await bot.send_message(PERSON, "Choose", reply_markup=ReplyKeyboardMarkup([["Yes", "No"]]))
    await page.click("#keyboard button:last-child")
    update = await next_update(bot, update)
    assert update.message is not None
    assert update.message.text == "No"

    # Files are shown by their names.
    await bot.send_document(PERSON, b"made up", filename="<prices>.pdf", caption="see *this*")
    await page.wait_for(
        "document.querySelector('#log article:last-child .media')?.textContent.includes('<prices>.pdf')"
    )


async def test_links_of_a_bot_cannot_be_scripts(page: Page, bot: Bot) -> None:
    marked = '<a href="javascript://x/%0adocument.title=1">bad</a> <a href="https://example.org/">good</a>'
    button = InlineKeyboardButton("bad", url="javascript://x/%0adocument.title=1")
    await bot.send_message(
        PERSON, marked, parse_mode="HTML", reply_markup=InlineKeyboardMarkup.from_button(button)
    )
    await page.wait_for("document.querySelector('#log article a') !== null")
    assert await page.evaluate("[...document.querySelectorAll('#log a')].map((link) => link.href)") == [
        "https://example.org/"
    ]


async def test_another_chat_is_another_person(page: Page, bot: Bot) -> None:
    await page.wait_for("!document.querySelector('#foot').hidden")
    await page.evaluate("document.getElementById('chat').value = '-42'")
    await page.evaluate("document.getElementById('chat').dispatchEvent(new Event('change'))")
    await page.click("#start")
    update = await next_update(bot)
    assert update.effective_chat is not None
    assert (update.effective_chat.id, update.effective_chat.type) == (-42, "group")


async def test_without_a_bot_the_page_says_how_to_connect_one(page: Page, sandbox: RunningSandbox) -> None:
    await page.wait_for("document.querySelector('#log pre') !== null")
    assert f'.base_url("{sandbox.base_url}/bot")' in await page.evaluate(
        "document.querySelector('#log pre').textContent"
    )


async def test_the_page_lets_nothing_else_in(sandbox: RunningSandbox) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{sandbox.base_url}/") as response:
        policy = response.headers["Content-Security-Policy"]
        text = await response.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in text.replace("http://127.0.0.1", "")
    assert "https://" not in text
    for opening in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert opening not in text
