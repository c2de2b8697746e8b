"""Secrets are hidden wherever they stand."""

from brama.redaction import HIDDEN, Redactor

KEY = "AA" + "k" * 33


def test_a_token_is_hidden_and_its_bot_id_stays() -> None:
    redactor = Redactor()
    assert redactor.text(f"GET https://api.telegram.org/bot1001:{KEY}/getMe") == (
        f"GET https://api.telegram.org/bot1001:{HIDDEN}/getMe"
    )
    assert redactor.data(f"bot1001%3A{KEY}".encode()) == f"bot1001:{HIDDEN}".encode()


def test_registered_secrets_are_hidden_and_short_ones_are_not_registered() -> None:
    redactor = Redactor()
    redactor.register("hunter22", "abc", "hunter22-longer")
    assert redactor.text("abc hunter22-longer hunter22") == f"abc {HIDDEN} {HIDDEN}"


def test_values_of_every_shape() -> None:
    redactor = Redactor()
    error = ValueError(f"bad 7:{KEY}")
    value = {"a": [f"7:{KEY}", 1, None], "b": error, "c": f"7:{KEY}".encode()}
    assert redactor.value(value) == {
        "a": [f"7:{HIDDEN}", 1, None],
        "b": f"bad 7:{HIDDEN}",
        "c": f"7:{HIDDEN}",
    }


def test_ordinary_text_is_left_alone() -> None:
    text = "at 12:30:59 on 127.0.0.1:8443 chat c12345 said nothing"
    assert Redactor().text(text) == text
