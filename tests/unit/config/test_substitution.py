"""Variables in text."""

import pytest

from brama.config.substitution import MissingVariableError, Variables


def variables() -> Variables:
    return Variables({"NAME": "shop", "EMPTY": ""}, "the environment")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${NAME}", "shop"),
        ("a${NAME}b${NAME}", "ashopbshop"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("$${NAME}", "${NAME}"),
        ("$NAME $ $$ {NAME}", "$NAME $ $$ {NAME}"),
    ],
)
def test_references(text: str, expanded: str):
    assert variables().expand(text) == expanded


def test_a_missing_variable_is_named_and_where_to_set_it():
    with pytest.raises(MissingVariableError, match="variable NONE is not set; set it in the environment"):
        variables().expand("${NONE}")


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A B}", "${NAME", "${NAME:?x}", "${NAME-x}"])
def test_what_is_no_reference_is_refused(text: str):
    with pytest.raises(ValueError, match=r"write|without its"):
        variables().expand(text)


def test_names_are_remembered_whether_set_or_not():
    held = variables()
    held.expand("${NAME} ${OTHER:-x} $${ESCAPED}")
    with pytest.raises(MissingVariableError):
        held.expand("${NONE}")
    assert held.used == {"NAME", "OTHER", "NONE"}


def test_a_value_is_not_expanded_again():
    assert Variables({"A": "${B}"}, "").expand("${A}") == "${B}"
