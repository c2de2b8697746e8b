"""One bot's state: its queue's door, its polls, its conflicts, its chats, its files."""

from sandbox.state.bot import Bot, encode, first_update_id_of
from sandbox.state.chat import REMEMBERED, Chat, describe_chat
from sandbox.state.files import CAPACITY_BYTES, FileStore
from sandbox.state.sent import Sent, SentLog


def test_update_ids_start_where_the_bot_says_and_never_near_the_limit() -> None:
    assert first_update_id_of(1001) == Bot.create(1001).queue.next_id
    starts = {first_update_id_of(number) for number in range(1, 200)}
    assert len(starts) == 199
    assert all(0 < start < 2**31 - 10**9 for start in starts)


def test_an_update_lives_as_long_as_its_kind() -> None:
    bot = Bot.create(1001)
    bot.push({"callback_query": {}}, now=0.0, longest_ttl_s=86400)
    bot.push({"message": {}}, now=0.0, longest_ttl_s=86400)
    assert len(bot.queue.take(0, 100, now=149.0)) == 2
    assert len(bot.queue.take(0, 100, now=150.0)) == 1
    assert len(bot.queue.take(0, 100, now=86400.0)) == 0


def test_an_update_keeps_the_id_it_was_given() -> None:
    bot = Bot.create(1001)
    assert bot.push({"update_id": 5, "message": {}}, 0.0, 100.0) == 5
    assert b'"update_id":5' in bot.queue.take(0, 100, 0.0)[0].body


def test_the_second_conflict_in_three_seconds_is_held_back() -> None:
    bot = Bot.create(1001)
    assert [bot.next_conflict_pause_s(at) for at in (10.0, 12.9, 13.0)] == [0.0, 3.0, 0.0]


def test_a_revoked_token_is_refused_and_a_new_one_is_not() -> None:
    bot = Bot.create(1001)
    bot.revoked_tokens.add("1001:old")
    assert not bot.accepts("1001:old")
    assert bot.accepts("1001:new")
    bot.revoked = True
    assert not bot.accepts("1001:new")


def test_json_says_what_the_fast_encoder_cannot() -> None:
    assert encode({"text": "\ud800"}) == b'{"text": "\\ud800"}'
    assert encode([2**70]) == b"[1180591620717411303424]"


def test_a_chat_forgets_old_messages_and_knows_they_were_there() -> None:
    chat = Chat(7)
    for _ in range(REMEMBERED + 1):
        chat.add({"text": "x"})
    assert 1 not in chat.messages
    assert chat.exists(1)
    chat.delete(1)
    assert not chat.exists(1)
    assert not chat.exists(REMEMBERED + 2)


def test_chats_are_what_their_ids_say() -> None:
    assert [describe_chat(chat_id)["type"] for chat_id in (5, -5, -1_000_000_000_005)] == [
        "private",
        "group",
        "supergroup",
    ]


def test_files_are_the_same_for_the_same_content_and_the_oldest_go_first() -> None:
    store = FileStore()
    first = store.add("a.png", b"x")
    assert store.add("a.png", b"x") == first
    assert first.path.endswith(".png")
    assert store.at_path(first.path) == first
    big = store.add("b", b"x" * CAPACITY_BYTES)
    assert list(store.by_id) == [big.file_id]


def test_the_log_numbers_on_after_it_forgot() -> None:
    log = SentLog(capacity=10)
    for number in range(1, 13):
        log.append(Sent(number, 1, "sendMessage" if number % 2 else "sendPhoto", {}, 0.0, None))
    assert [index for index, _ in log.after(10)] == [11, 12]
    assert next(iter(log.after(0)))[0] == 3
    assert [index for index, _ in log.after(10, "sendPhoto")] == [12]
    log.clear()
    assert log.after(0) == []
