"""What the handler knows of whoever answers a question."""

from typing import Protocol

from jobs.llm.dashboard import Answer


class Provider(Protocol):
    """Answers questions."""

    async def answer(self, question: str, organisation: str) -> Answer:
        """Return a dashboard for ``question``; calls of a model count on ``organisation``'s account.

        The first request is the call that was taken for the start of the job.

        Raises:
            RetryableError: another try may help; the answer was no dashboard, or nobody answered.
            PermanentError: the service does not take the request, whenever it is made.

        Their messages, and what they come from, repeat nothing of the question.
        """
