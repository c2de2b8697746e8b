"""docs/states.md shows the function that decides, not what it once was."""

from tests.unit.fleet.states_doc import BEGIN, DOC, render


def test_the_page_shows_the_policy_as_it_is():
    _, marker, tables = DOC.read_text().partition(BEGIN)
    assert marker, "docs/states.md lost the line that its tables follow"
    assert tables.strip() == render().strip(), "run: python -m tests.unit.fleet.states_doc"
