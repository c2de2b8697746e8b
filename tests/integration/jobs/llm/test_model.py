"""Questions to a model's service that answers well, badly and not at all; and what each costs."""

import asyncio
import json
import sqlite3
from pathlib import Path

from jobs.llm.policy.api_keys import fingerprint
from jobs.llm.terms import BackendTerms
from tests.integration.jobs.llm.model import GOOD, Line, Model, serving
from tests.integration.jobs.llm.stage import KEY, QUESTION, backend, llm_worker, terms
from tests.integration.jobs.processes import House
from tests.ports import free_port
from tests.waiting import await_until

MODEL_KEY = "sk-the-key-of-the-model"


def openai_terms(model: Model, **more: object) -> BackendTerms:
    return terms(openai_api_key=MODEL_KEY, openai_base_url=model.url, model="gpt-test", **more)


def tokens(at: House) -> list[str]:
    """Return whose calls were taken from the limiter."""
    path = at.state_dir / "tokens"
    return path.read_text().split() if path.exists() else []


async def test_a_model_is_asked_for_json_by_a_schema(at: House):
    async with serving(Model()) as model:
        its = openai_terms(model)
        async with backend(at, its) as service, llm_worker(at, its):
            await service.ask("t", organisation="acme")
            ended = await service.wait_end("t")
            assert (await service.ask("t", organisation="acme"))[0] == 202
            assert (await service.ask("t"))[0] == 409
        result = ended["result"]
        assert (result["title"], len(result["widgets"])) == (GOOD["title"], 2)
        assert (result["provider"], result["model"], result["mock"]) == ("openai", "gpt-test", False)
        (request,) = model.requests
        assert request["model"] == "gpt-test"
        assert request["response_format"]["type"] == "json_schema"
        assert request["response_format"]["json_schema"]["strict"] is True
        assert [message["role"] for message in request["messages"]] == ["system", "user"]
        assert request["messages"][1]["content"] == QUESTION
        assert model.keys == [f"Bearer {MODEL_KEY}"]
        assert tokens(at) == ["acme"]


#: What the service says to each question, how the task ends, and how many requests that takes.
SCRIPTS: dict[str, tuple[list[Line], str, int]] = {
    "schemas-unknown": ([(422, {}), "no json"], "completed", 3),
    "no-json": ([f"no dashboard but {QUESTION}"], "completed", 2),
    "another-schema": ([json.dumps(GOOD | {"zebra": 1})], "completed", 2),
    "fenced": (["", "```json\n" + json.dumps(GOOD) + "\n```"], "completed", 2),
    "busy-then-broken": ([(429, {"Retry-After": "1"}), (500, {})], "completed", 3),
    "told-to-retry": ([(503, {"x-should-retry": "true"})], "completed", 2),
    "other-shapes": ([b"<html>zebra", b"{}", b'{"choices": []}'], "completed", 4),
    "redirect": ([(307, {"Location": "/elsewhere"})], "failed", 1),
    "wrong-key": ([(401, {})], "failed", 1),
    "refused-both-ways": ([(400, {}), (400, {})], "failed", 2),
    "no-such-model": ([(404, {})], "failed", 1),
    "never": (["zebra"] * 5, "failed", 5),
}


async def test_no_request_goes_around_the_limiter_and_no_log_tells_of_it(at: House):
    """Whatever the service answers: as many calls are taken as requests reach it, on the right account."""
    async with serving(Model({name: script for name, (script, *_) in SCRIPTS.items()})) as model:
        its = openai_terms(model)
        async with (
            backend(at, its) as service,
            llm_worker(at, its, OPENAI_LOG="debug", PYTHONASYNCIODEBUG="1") as worker,
        ):
            # Alone, as it changes how the service is asked from then on.
            await service.ask("schemas-unknown", question=f"{QUESTION} schemas-unknown", organisation="first")
            await service.wait_end("schemas-unknown")
            others = [name for name in SCRIPTS if name != "schemas-unknown"]
            for name in others:
                await service.ask(name, question=f"{QUESTION} {name}", organisation=name)
            ended = {name: await service.wait_end(name, 100) for name in others}
            worker.terminate()
            await worker.wait()
        for name in others:
            _, status, requests = SCRIPTS[name]
            assert (name, ended[name]["status"]) == (name, status)
            if name != "refused-both-ways":  # there is one way left by then
                assert (name, model.count(name)) == (name, requests)
            assert (name, tokens(at).count(name)) == (name, model.count(name))
        assert tokens(at).count("first") == model.count("schemas-unknown") == 3
        assert len(tokens(at)) == len(model.requests)
    said = (at.state_dir / "worker.log").read_text()
    letters = await at.letters.latest()
    assert "worker.ended" in said
    assert len(letters) == sum(status == "failed" for _, status, _ in SCRIPTS.values())
    for text in (
        said,
        str(ended),
        *(letter.error + letter.stack for letter in letters),
        _columns(at.state_dir),
    ):
        assert "zebra" not in text
        assert MODEL_KEY not in text
        assert KEY not in text


async def test_a_service_that_is_not_there_is_tried_again(at: House):
    port = free_port()
    its = terms(openai_api_key=MODEL_KEY, openai_base_url=f"http://127.0.0.1:{port}/v1")
    async with backend(at, its) as service, llm_worker(at, its):
        await service.ask("t")
        await await_until(lambda: tokens(at), 30)
        async with serving(Model(), port):
            assert (await service.wait_end("t"))["status"] == "completed"
    assert set(tokens(at)) == {fingerprint(KEY)}


def _columns(state_dir: Path) -> str:
    """Return what the database holds of tasks and letters beside the payload."""
    with sqlite3.connect(state_dir / "jobs.db") as connection:
        rows = [
            *connection.execute("SELECT job_id, body_hash, status, error FROM llm_tasks"),
            *connection.execute("SELECT error, stack, note FROM dead_letters"),
        ]
    connection.close()
    return str(rows)


async def test_a_task_whose_worker_is_killed_is_answered_elsewhere_and_asked_once_more(at: House):
    """The model is asked by both workers, as nobody knows whether the first one's answer came."""
    held = asyncio.Event()

    class Slow(Model):
        async def answer(self, request):
            if not self.requests:
                self.requests.append({})
                await held.wait()
            return await super().answer(request)

    async with serving(Slow()) as model:
        its = openai_terms(model)
        async with backend(at, its) as service:
            async with llm_worker(at, its) as first:
                await service.ask("t")
                await await_until(lambda: model.requests, 30)
                assert (await service.status("t"))[1]["status"] == "processing"
                first.kill()
                await first.wait()
            held.set()
            async with llm_worker(at, its):
                assert (await service.wait_end("t"))["status"] == "completed"
        assert len(tokens(at)) == 2
