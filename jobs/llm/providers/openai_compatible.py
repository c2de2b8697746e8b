"""Asks any service that speaks OpenAI's chat completions. The only module that imports its client.

Runs in: job worker.
"""

import logging
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam

from brama.clock import utc_s
from jobs.engine.port import RateLimiter
from jobs.errors import PermanentError, RetryableError
from jobs.llm.dashboard import Answer
from jobs.llm.policy.answer import answer_schema, instructions, read_answer
from jobs.llm.policy.callback_verdict import read_retry_after
from jobs.turns import wait_for_turn

#: A model may think for long; the job's timeout ends it in any case.
_READ_S = 240.0
_CONNECT_S = 10.0
#: Statuses that do not blame the request.
_NOT_NOW = frozenset({408, 409, 425, 429})
#: What a service says that does not know the newer way to ask for JSON.
_NOT_THAT_WAY = frozenset({400, 422})
#: The client logs whole requests at level debug, and OPENAI_LOG turns that on.
_TALKATIVE = ("openai", "httpx2", "httpcore2")


class OpenAiProvider:
    """See Provider.

    Args:
        api_key: of the service; None suits one that asks for none.
        base_url: where it is; None: OpenAI's own.
        model: the model's name.
        limiter: every request after the first takes a call of the organisation's from it, whoever makes it.
    """

    def __init__(self, api_key: str | None, base_url: str | None, model: str, limiter: RateLimiter) -> None:
        self._api_key = api_key or "none"
        self._base_url = base_url
        self._model = model
        self._limiter = limiter
        self._network = httpx2.AsyncHTTPTransport()
        self._knows_schemas = True
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)

    async def answer(self, question: str, organisation: str) -> Answer:
        """See Provider."""
        client = self._client(organisation)
        try:
            text = await self._ask(client, question)
        except openai.APIStatusError as error:
            raise _meaning_of(error) from None
        except openai.APIConnectionError as error:  # its timeouts too
            raise RetryableError(f"the model's service: {type(error).__name__}") from None
        except openai.OpenAIError as error:
            raise RetryableError(
                f"the model's service answered in no way we know: {type(error).__name__}"
            ) from None
        try:
            dashboard = read_answer(text)
        except ValueError as error:
            raise RetryableError(str(error)) from None
        return Answer(**dict(dashboard), provider="openai", model=self._model, mock=False)

    def _client(self, organisation: str) -> openai.AsyncOpenAI:
        """Return a client whose every request counts on one account; connections are shared by all."""
        transport = _CountedTransport(self._network, self._limiter, organisation)
        return openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,  # tries are the job's
            timeout=httpx2.Timeout(_READ_S, connect=_CONNECT_S),
            http_client=httpx2.AsyncClient(transport=transport, follow_redirects=False, trust_env=False),
        )

    async def _ask(self, client: openai.AsyncOpenAI, question: str) -> str:
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": instructions()},
            {"role": "user", "content": question},
        ]
        if self._knows_schemas:
            try:
                return _text_of(
                    await client.chat.completions.create(
                        model=self._model,
                        messages=messages,
                        response_format={
                            "type": "json_schema",
                            "json_schema": {"name": "dashboard", "strict": True, "schema": answer_schema()},
                        },
                    )
                )
            except openai.APIStatusError as error:
                if error.status_code not in _NOT_THAT_WAY:
                    raise
        text = _text_of(
            await client.chat.completions.create(
                model=self._model, messages=messages, response_format={"type": "json_object"}
            )
        )
        self._knows_schemas = False  # known once the other way works
        return text


class _CountedTransport(httpx2.AsyncBaseTransport):
    """Sends nothing that the limiter has not let through; one request was, when the job started."""

    def __init__(self, network: httpx2.AsyncBaseTransport, limiter: RateLimiter, organisation: str) -> None:
        self._network = network
        self._limiter = limiter
        self._organisation = organisation
        self._is_paid = True

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not self._is_paid:
            await wait_for_turn(self._limiter, self._organisation)
        self._is_paid = False
        return await self._network.handle_async_request(request)


def _text_of(completion: Any) -> str:
    """Return what the model said; the client does not check what a service makes of its answer's shape."""
    try:
        text = completion.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise RetryableError("the model's service sent no answer of the model")
    return text


def _meaning_of(error: openai.APIStatusError) -> Exception:
    """Return our error; theirs holds the service's words, which may repeat the question."""
    status = error.status_code
    text = f"the model's service answered {status}"
    if status in _NOT_NOW or status >= 500:
        return RetryableError(
            text, retry_after_s=read_retry_after(error.response.headers.get("Retry-After"), utc_s())
        )
    if status in (401, 403):
        return PermanentError(f"{text}; check OPENAI_API_KEY")
    return PermanentError(f"{text}; check OPENAI_BASE_URL and OPENAI_MODEL")
