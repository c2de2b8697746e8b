"""Posts one callback, once.

Runs in: job worker.
"""

import io
import json

import aiohttp
from yarl import URL

from brama.clock import utc_s
from jobs.errors import PermanentError, RetryableError
from jobs.llm.callback_resolver import GuardedResolver, Lookup
from jobs.llm.payloads import CallbackPayload
from jobs.llm.policy.callback_url import Refused, judge_url
from jobs.llm.policy.callback_verdict import Delivered, Never, NotNow, judge_answer
from jobs.llm.policy.signature import DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from jobs.llm.terms import BackendTerms

#: For one post, from looking the host up to the answer's end.
POST_S = 10.0
#: Of an answer's body, which nobody reads: so much lets a polite server finish.
_ANSWER_BYTES = 16 * 1024


class CallbackSender:
    """Delivers callbacks to the hosts that the terms allow.

    Args:
        terms: hosts, key and secret.
        lookup: resolves hosts; the system's if None.
    """

    def __init__(self, terms: BackendTerms, lookup: Lookup | None = None) -> None:
        self._allowed = terms.allowed_hosts
        self._key = terms.sent_key
        self._secret = terms.signing_secret
        self._lookup = lookup

    async def send(self, callback: CallbackPayload, delivery: str) -> None:
        """Post ``callback`` to its address; ``delivery`` is the same in every try.

        Raises:
            RetryableError: another try may help.
            PermanentError: the address may not be called back, or the backend does not take it.
        """
        target = judge_url(callback.callback_url, self._allowed)
        if isinstance(target, Refused):
            raise PermanentError(f"callbackUrl: {target.reason}")
        try:
            status, retry_after = await self._post(target.url, callback, delivery)
        except TimeoutError:
            raise RetryableError(f"the backend took longer than {POST_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise RetryableError(f"the backend cannot be reached: {_cause_of(error)}") from None
        match judge_answer(status, retry_after, utc_s()):
            case Delivered():
                return
            case NotNow(reason, retry_after_s):
                raise RetryableError(reason, retry_after_s=retry_after_s)
            case Never(reason):
                raise PermanentError(reason)

    async def _post(self, url: str, callback: CallbackPayload, delivery: str) -> tuple[int, str | None]:
        body = json.dumps(callback.document(), ensure_ascii=False).encode()
        timestamp = str(int(utc_s()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "brama",
            DELIVERY_HEADER: delivery,
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: sign(self._secret, timestamp, body),
        }
        if self._key:
            headers["X-API-Key"] = self._key
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._lookup), use_dns_cache=False, force_close=True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=POST_S),
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.post(
                URL(url, encoded=True), data=io.BytesIO(body), headers=headers, allow_redirects=False
            ) as response,
        ):
            await response.content.read(_ANSWER_BYTES)
            return response.status, response.headers.get("Retry-After")


def _cause_of(error: BaseException) -> str:
    """Return one line without the address, which may hold the caller's own secrets."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    return (
        f"{type(error).__name__}: {error.strerror or error}"
        if isinstance(error, OSError)
        else type(error).__name__
    )
