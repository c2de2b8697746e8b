"""A person's chat with one bot, over the sandbox's control API."""

from dataclasses import dataclass, field
from typing import Any

from brama.clock import monotonic_s
from sandbox.calls import SentCall
from sandbox.client import SandboxControl
from sandbox.demo.processes import DemoError

#: The person of the demo; any other number would do.
PERSON = 7
_ANSWERS = frozenset({"sendMessage", "editMessageText"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a bot wrote: the text, the buttons below it, the message they belong to."""

    text: str
    buttons: dict[str, str]
    message_id: int
    at_ms: float


@dataclass(slots=True)
class Chat:
    """A chat; ``answer`` gives what the bot wrote since it was last asked."""

    control: SandboxControl
    bot: int
    _last_index: int = 0
    _last_answer: Answer | None = field(default=None)

    def say(self, text: str) -> None:
        """Write to the bot."""
        self.control.send_messages(self.bot, PERSON, text)

    def press(self, button: str) -> None:
        """Press the button of this label below the bot's last message."""
        answer = self._last_answer
        if answer is None or button not in answer.buttons:
            raise DemoError(f"there is no button {button} to press")
        self.control.press_button(self.bot, PERSON, answer.message_id, answer.buttons[button])

    def answer(self, timeout_s: float = 30.0) -> Answer:
        """Return what the bot writes next. Raises DemoError after ``timeout_s`` seconds of silence."""
        deadline = monotonic_s() + timeout_s
        while (remaining_s := deadline - monotonic_s()) > 0:
            for call in self.control.sent(self.bot, after=self._last_index, wait_s=min(remaining_s, 5.0)):
                self._last_index = call.index
                if call.method in _ANSWERS:
                    self._last_answer = _read(call)
                    return self._last_answer
        raise DemoError(f"the bot did not answer within {timeout_s:g} s")


def _read(call: SentCall) -> Answer:
    rows: list[list[dict[str, Any]]] = (call.params.get("reply_markup") or {}).get("inline_keyboard") or []
    buttons = {button["text"]: str(button.get("callback_data", "")) for row in rows for button in row}
    message_id = call.message_id if call.message_id is not None else int(call.params.get("message_id", 0))
    return Answer(str(call.params.get("text", "")), buttons, message_id, call.at_ms)
