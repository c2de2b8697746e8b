"""A stand-in for a model: takes its time, and makes the same numbers up for the same question.

Runs in: job worker.
"""

import asyncio
import hashlib

from jobs.llm.dashboard import Answer, Chart, Metric, Series, Table, Text

_MONTHS = ["January", "February", "March", "April", "May", "June"]
_REGIONS = ["North", "South", "East", "West"]


class MockProvider:
    """See Provider. It needs no network and says in each answer that it is a mock.

    Args:
        processing_s: how long it takes for an answer, in seconds.
    """

    def __init__(self, processing_s: float) -> None:
        self._processing_s = processing_s

    async def answer(self, question: str, organisation: str) -> Answer:
        """See Provider."""
        await asyncio.sleep(self._processing_s)
        return mock_answer(question)


def mock_answer(question: str) -> Answer:
    """Return the numbers that belong to ``question``, which is not in them."""
    numbers = [float(byte) for byte in hashlib.sha256(question.encode()).digest()]
    months, regions = numbers[:6], numbers[6:10]
    return Answer(
        title="Mock dashboard",
        summary="This is a mock: no model was asked, and the numbers mean nothing.",
        widgets=[
            Metric(
                kind="metric", title="Total", value=sum(months), unit=None, change_percent=numbers[10] - 128
            ),
            Chart(
                kind="chart",
                title="By month",
                chart="line",
                labels=_MONTHS,
                series=[Series(name="Value", values=list(months))],
            ),
            Table(
                kind="table",
                title="By region",
                columns=["Region", "Value"],
                rows=[[name, value] for name, value in zip(_REGIONS, regions, strict=True)],
            ),
            Text(kind="text", title="About", text="Set OPENAI_API_KEY to have a model asked."),
        ],
        provider="mock",
        model="mock",
        mock=True,
    )
