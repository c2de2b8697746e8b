"""What the handlers of the LLM backend work with, in the worker that runs them.

Runs in: job worker.
"""

from dataclasses import dataclass

from brama.redaction import register_secrets
from jobs.engine.port import RateLimiter
from jobs.llm.callback_sender import CallbackSender
from jobs.llm.ledger import TaskLedger
from jobs.llm.providers.mock import MockProvider
from jobs.llm.providers.port import Provider
from jobs.llm.terms import BackendTerms
from jobs.producer import Producer
from jobs.storage.database import Database


@dataclass(frozen=True, slots=True)
class Workshop:
    """The tools of one worker.

    Args:
        provider: answers questions.
        sender: delivers callbacks.
        producer: takes callbacks over; its ``run`` goes on beside.
        ledger: where tasks are noted.
    """

    provider: Provider
    sender: CallbackSender
    producer: Producer
    ledger: TaskLedger


_workshop: Workshop | None = None


def install(terms: BackendTerms, *, database: Database, producer: Producer, limiter: RateLimiter) -> None:
    """Have the handlers of ``jobs.llm.tasks`` run under ``terms`` in this process, before any of them runs.

    Args:
        terms: the operator's.
        database: of the state directory.
        producer: takes callbacks over.
        limiter: what calls of a model are counted by, for each organisation.
    """
    global _workshop
    register_secrets(*terms.secrets)
    _workshop = Workshop(_provider(terms, limiter), CallbackSender(terms), producer, TaskLedger(database))


def workshop() -> Workshop:
    """Return this process's tools.

    Raises:
        RuntimeError: nobody has called ``install``.
    """
    if _workshop is None:
        raise RuntimeError("the LLM backend has no terms here; call install() where the worker is wired")
    return _workshop


def _provider(terms: BackendTerms, limiter: RateLimiter) -> Provider:
    if terms.is_mock:
        return MockProvider(terms.mock_processing_s)
    from jobs.llm.providers.openai_compatible import OpenAiProvider  # half a second that nobody else pays

    return OpenAiProvider(terms.openai_api_key, terms.openai_base_url, terms.model, limiter)
