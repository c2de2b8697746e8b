"""What counts as a model's answer, and what a fault says about one that is none."""

import json
from typing import Any

import pytest

from jobs.llm.policy.answer import answer_schema, instructions, read_answer
from jobs.llm.providers.mock import mock_answer

METRIC = {"kind": "metric", "title": "Sum", "value": 5, "unit": None, "change_percent": None}
CHART = {
    "kind": "chart", "title": "By day", "chart": "bar", "labels": ["a", "b"],
    "series": [{"name": "s", "values": [1, None]}],
}  # fmt: skip
TABLE = {"kind": "table", "title": "T", "columns": ["a", "b"], "rows": [["x", 1], [None, 2.5]]}
TEXT = {"kind": "text", "title": "T", "text": "words"}


def answer(*widgets: Any, **more: Any) -> str:
    return json.dumps({"title": "D", "summary": "S", "widgets": list(widgets) or [METRIC]} | more)


def test_each_kind_of_widget_is_read():
    dashboard = read_answer(answer(METRIC, CHART, TABLE, TEXT))
    assert [widget.kind for widget in dashboard.widgets] == ["metric", "chart", "table", "text"]
    assert dashboard.model_dump(mode="json")["widgets"][0]["value"] == 5


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```\n", "  \n```json\n{}\n```"])
def test_an_answer_in_a_fence_is_read(fence: str):
    assert read_answer(fence.replace("{}", answer())).title == "D"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "answer: json_invalid"),
        ("the zebra", "answer: json_invalid"),
        ("Here: " + answer(), "answer: json_invalid"),
        ("[]", "answer: model_type"),
        (answer(title=""), "title: string_too_short"),
        (answer(title="x" * 201), "title: string_too_long"),
        (answer(widgets=[]), "widgets: too_short"),
        (answer(*[METRIC] * 31), "widgets: too_long"),
        (answer(zebra=1), "?: extra_forbidden"),
        (answer({"kind": "zebra"}), "widgets.0: union_tag_invalid"),
        (answer(METRIC | {"value": None}), "widgets.0.metric.value.?: float_type"),
        (answer().replace("5", "NaN"), "widgets.0.metric.value"),
        (answer(CHART | {"labels": ["a"]}), "widgets.0.chart: value_error"),
        (answer(TABLE | {"rows": [["x"]]}), "widgets.0.table: value_error"),
        (answer(TABLE | {"rows": [[{"zebra": 1}, 2]]}), "widgets.0.table.rows.0.0"),
        (answer(METRIC | {"zebra": 1}), "widgets.0.metric.?: extra_forbidden"),
    ],
)
def test_an_answer_that_is_none_is_told_by_place_and_kind_alone(text: str, fault: str):
    with pytest.raises(ValueError, match="no dashboard") as caught:
        read_answer(text)
    assert fault in str(caught.value)
    assert "zebra" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_schema_suits_services_with_strict_output():
    def check(node: Any) -> None:
        match node:
            case dict():
                if "properties" in node:
                    assert node["required"] == list(node["properties"])
                    assert node["additionalProperties"] is False
                assert not {"oneOf", "discriminator", "maxLength", "minItems", "default"} & set(node)
                for each in node.values():
                    check(each)
            case list():
                for each in node:
                    check(each)

    check(answer_schema())
    assert answer_schema()["required"] == ["title", "summary", "widgets"]
    assert json.dumps(answer_schema(), separators=(",", ":")) in instructions()


def test_the_mock_is_the_same_for_the_same_question_and_says_what_it_is():
    one, again, other = mock_answer("q"), mock_answer("q"), mock_answer("p")
    assert one == again
    assert one != other
    assert (one.mock, one.provider) == (True, "mock")
    assert "mock" in one.summary
    assert read_answer(one.model_dump_json(include={"title", "summary", "widgets"})).title == one.title
