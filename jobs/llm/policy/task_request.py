"""Reads what a caller wants done.

Pure.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field

import msgspec

from jobs.llm.policy.callback_url import HostPort, Refused, judge_url

_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,199}")
_ORGANISATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A question that was asked.

    Args:
        task_id: the caller's name for it.
        question: never shown or logged.
        callback_url: where the answer goes, in the spelling that is called; None: the caller asks for it.
        organisation: on whose account it counts; None: the key's.
    """

    task_id: str
    question: str = field(repr=False)
    callback_url: str | None
    organisation: str | None

    @property
    def body_hash(self) -> str:
        """What tells two requests of one task id apart."""
        told = [self.task_id, self.question, self.callback_url, self.organisation]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class BadRequest:
    """``reason`` is one line that says what is allowed; it repeats nothing of the question."""

    reason: str


def read_request(body: bytes, allowed: frozenset[HostPort]) -> TaskRequest | BadRequest:
    """Return what ``body`` asks for, or what is wrong with it; fields that are not known are passed over."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return BadRequest('the body is no JSON object; send {"taskId": …, "question": …, "callbackUrl": …}')
    task_id, question = found.get("taskId"), found.get("question")
    if not isinstance(task_id, str) or not is_task_id(task_id):
        return BadRequest("taskId: is not 1 to 200 of A-Z a-z 0-9 . _ : ~ - with a letter or digit first")
    if not isinstance(question, str) or not question.strip():
        return BadRequest("question: is not a text with something in it")
    organisation = found.get("organisation")
    if organisation is not None and not (
        isinstance(organisation, str) and _ORGANISATION.fullmatch(organisation)
    ):
        return BadRequest(
            "organisation: is not 1 to 64 of A-Z a-z 0-9 . _ : - with a letter or digit first; leave it out"
        )
    url = found.get("callbackUrl")
    if url is not None:
        target = judge_url(url, allowed) if isinstance(url, str) else Refused("is not a text")
        if isinstance(target, Refused):
            return BadRequest(f"callbackUrl: {target.reason}")
        url = target.url
    return TaskRequest(task_id, question, url, organisation)


def is_task_id(text: str) -> bool:
    """Return whether ``text`` can be a task's id."""
    return _TASK_ID.fullmatch(text) is not None
