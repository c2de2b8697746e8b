"""What an answer to a question looks like.

Runs in: job worker.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Title = Annotated[str, Field(min_length=1, max_length=200)]
Prose = Annotated[str, Field(min_length=1, max_length=10_000)]
Cell = str | float | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Metric(_Part):
    """One number."""

    kind: Literal["metric"]
    title: Title
    value: float | str
    unit: str | None
    #: Against the time before, in percent.
    change_percent: float | None


class Series(_Part):
    """One line, or the bars of one colour."""

    name: str
    values: list[float | None]


class Chart(_Part):
    """A value for each label, for each series."""

    kind: Literal["chart"]
    title: Title
    chart: Literal["line", "bar", "pie"]
    labels: Annotated[list[str], Field(min_length=1, max_length=1000)]
    series: Annotated[list[Series], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _check_lengths(self) -> "Chart":
        if any(len(each.values) != len(self.labels) for each in self.series):
            raise ValueError("each series needs one value for each label")
        return self


class Table(_Part):
    """Rows of cells."""

    kind: Literal["table"]
    title: Title
    columns: Annotated[list[str], Field(min_length=1, max_length=50)]
    rows: Annotated[list[list[Cell]], Field(max_length=1000)]

    @model_validator(mode="after")
    def _check_widths(self) -> "Table":
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("each row needs one cell for each column")
        return self


class Text(_Part):
    """A paragraph."""

    kind: Literal["text"]
    title: Title
    text: Prose


Widget = Annotated[Metric | Chart | Table | Text, Field(discriminator="kind")]


class Dashboard(_Part):
    """The answer to a question, ready to be shown."""

    title: Title
    summary: Prose
    widgets: Annotated[list[Widget], Field(min_length=1, max_length=30)]


class Answer(Dashboard):
    """A dashboard, and who made it: the ``result`` of a task.

    Args:
        provider: openai or mock.
        model: the model's name.
        mock: True if no model was asked and the numbers mean nothing.
    """

    provider: str
    model: str
    mock: bool
