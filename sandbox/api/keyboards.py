"""The keyboard that goes with a message."""

from typing import Any

from sandbox.api.errors import bad_request
from sandbox.api.request import Call
from sandbox.state.chat import Chat

#: What an inline button may do, beside showing text.
ACTIONS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)
MAX_CALLBACK_BYTES = 64


def inline_keyboard(call: Call) -> dict[str, Any] | None:
    """Return the checked inline keyboard of a call, None when it has none.

    Raises:
        ApiError: ``reply_markup`` is no keyboard, or a button of it can do nothing or too much.
    """
    markup = _markup(call)
    if markup is None or "inline_keyboard" not in markup:
        return None
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard: Array of Array expected")
    for row in rows:
        for button in row:
            _check_button(button)
    return {"inline_keyboard": [row for row in rows if row]}


def apply_reply_keyboard(call: Call, chat: Chat) -> None:
    """Show, replace or remove the keyboard below the person's input field."""
    markup = _markup(call)
    if markup is None or "inline_keyboard" in markup:
        return
    if "keyboard" in markup and not isinstance(markup["keyboard"], list):
        raise bad_request("can't parse reply keyboard markup JSON object")
    chat.keyboard = markup if "keyboard" in markup or "force_reply" in markup else None


def _markup(call: Call) -> dict[str, Any] | None:
    markup = call.params.get("reply_markup")
    if markup is None or markup == "":
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    return markup


def _check_button(button: Any) -> None:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str) or not button["text"]:
        raise bad_request('can\'t parse inline keyboard button: Field "text" must be of type String')
    if not any(action in button for action in ACTIONS):
        raise bad_request(
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
        )
    data = button.get("callback_data")
    if data is not None and not 1 <= len(str(data).encode("utf-8", "replace")) <= MAX_CALLBACK_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
