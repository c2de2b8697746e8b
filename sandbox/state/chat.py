"""One chat between people and a bot: its messages as they stand now."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.state.signal import Signal

#: Messages a chat remembers; a bot can still edit older ones, their text is then unknown.
REMEMBERED = 200


def describe_chat(chat_id: int) -> dict[str, Any]:
    """Return Telegram's Chat object: positive ids are people, -100… supergroups, the others groups."""
    if chat_id > 0:
        return {
            "id": chat_id,
            "type": "private",
            "first_name": f"User {chat_id}",
            "username": f"user{chat_id}",
        }
    if chat_id <= -1_000_000_000_000:
        return {"id": chat_id, "type": "supergroup", "title": f"Supergroup {chat_id}"}
    return {"id": chat_id, "type": "group", "title": f"Group {chat_id}"}


def describe_user(user_id: int) -> dict[str, Any]:
    """Return Telegram's User object of a person."""
    return {
        "id": user_id,
        "is_bot": False,
        "first_name": f"User {user_id}",
        "username": f"user{user_id}",
        "language_code": "en",
    }


@dataclass(slots=True)
class Chat:
    """Messages by id, oldest first; ``version`` grows with every visible change."""

    chat_id: int
    version: int = 0
    last_message_id: int = 0
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    #: The bot's reactions by message id.
    reactions: dict[int, list[str]] = field(default_factory=dict)
    #: What the bot shows as being done ("typing"), until its next message.
    action: str | None = None
    #: The reply keyboard the person sees, as the bot sent it.
    keyboard: dict[str, Any] | None = None
    #: The person blocked the bot.
    blocked: bool = False
    changed: Signal = field(default_factory=Signal)

    def describe(self) -> dict[str, Any]:
        """Return Telegram's Chat object."""
        return describe_chat(self.chat_id)

    def add(self, message: dict[str, Any]) -> dict[str, Any]:
        """Give ``message`` the next id and remember it."""
        self.last_message_id += 1
        numbered = {"message_id": self.last_message_id, **message}
        self.messages[self.last_message_id] = numbered
        if len(self.messages) > REMEMBERED:
            del self.messages[next(iter(self.messages))]
        self.action = None
        self.touch()
        return numbered

    def exists(self, message_id: int) -> bool:
        """Tell whether a message was ever here and was not deleted, remembered or not."""
        return 0 < message_id <= self.last_message_id and message_id not in self.deleted

    def delete(self, message_id: int) -> None:
        """Forget a message that exists."""
        self.messages.pop(message_id, None)
        self.deleted.add(message_id)
        self.touch()

    def touch(self) -> None:
        """Say that something visible changed."""
        self.version += 1
        self.changed.notify()
