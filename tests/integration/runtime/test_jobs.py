"""A worker whose bot hands jobs over and gets their results: over its pipe, and nothing else."""

import json
import os
import signal

from bot_worker.runtime.job_orders import MAX_OPEN, MAX_OPEN_BYTES
from brama.ids import TelegramId
from brama.job_terms import MAX_PAYLOAD_BYTES
from brama.messages import (
    Deliver,
    Dozing,
    Enqueue,
    EnqueueAgain,
    Enqueued,
    NotEnqueued,
    Notice,
    Processed,
    Sleep,
    StaysAwake,
)
from supervisor.updates.policy.job_entries import JobEnd, JobOrigin, entry_of
from tests.integration.runtime.master import Master, message

SCRIPT = """
import asyncio, sys
import brama
from telegram.ext import *

async def ask(update, context):
    job_id = await brama.enqueue("ANSWER", {"question": update.message.text}, extra={"n": 1})
    await update.message.reply_text(job_id)

async def answered(result, context):
    context.chat_data["answers"] = context.chat_data.get("answers", 0) + 1
    text = result.result["text"] if result.ok else result.error
    await context.bot.send_message(
        result.chat_id, f"{text} {result.extra} {result.update_id} {context.chat_data['answers']}"
    )
HANDLERS
app = Application.builder()BUILDER.build()
app.add_handler(CommandHandler("other", other) if "other" in globals() else TypeHandler(str, ask))
app.add_handler(MessageHandler(filters.TEXT, ask))
if TAKES:
    app.add_handler(TypeHandler(brama.JobResult, answered))
app.run_polling()
"""


def script(handlers: str = "", builder: str = "", *, takes: bool = True) -> str:
    text = SCRIPT.replace("HANDLERS", handlers).replace("BUILDER", builder)
    return text.replace("TAKES", str(takes))


def number_of(master: Master) -> TelegramId:
    return TelegramId(int(master.boot.token.partition(":")[0]))


def deliver_result(master: Master, *, seq: int, ok: bool = True, chat_id: int | None = 10) -> int:
    """Deliver the end of a job as the router would; return its row number."""
    origin = JobOrigin("zoo", number_of(master), master.boot.base_url, chat_id, chat_id, 5, {"n": 1})
    end = JobEnd("k1", "ANSWER", "ANSWER", 1, ok, {"text": "42"} if ok else None, None if ok else "no\nway")
    entry = entry_of(origin, end)
    master.send(Deliver(seq, entry.update_id, entry.raw))
    return seq


def asked(master: Master, count: int = 1) -> list[Enqueue]:
    master.wait_said(Enqueue, count)
    return master.all_said(Enqueue)


# --- handing over -----------------------------------------------------------------------------------


def test_an_update_is_done_when_its_job_is_stored(start_bot, sent_texts):
    master: Master = start_bot(script())
    master.wait_ready()
    seq = master.say("why?")
    [job] = asked(master)
    assert (job.name, job.queue, json.loads(job.payload)) == ("ANSWER", "ANSWER", {"question": "why?"})
    assert job.key == f"{number_of(master)}/update/{seq}/ANSWER/0"
    assert (job.chat_id, job.user_id, job.update_id, job.extra) == (10, 10, seq, b'{"n":1}')
    assert master.seqs(Processed) == []
    master.send(Enqueued(job.n, "k17"))
    master.wait_processed(seq)
    assert sent_texts() == ["k17"]


def test_an_update_that_comes_again_asks_with_the_same_keys(start_bot):
    twice = """
async def other(update, context):
    await brama.enqueue("ANSWER", 1)
    await brama.enqueue("OTHER", 1)
    await brama.enqueue("ANSWER", 1, key="mine", queue="slow")
    await brama.enqueue("ANSWER", 2)
"""
    keys = []
    for _ in range(2):
        master: Master = start_bot(script(twice))
        master.wait_ready()
        [seq] = master.deliver(message(1, "/other"))
        for n in range(1, 5):
            job = asked(master, n)[-1]
            if n < 4:
                master.send(Enqueued(job.n, f"k{n}"))
        assert master.seqs(Processed) == []
        os.kill(master.pid, signal.SIGKILL)
        master.wait_gone()
        keys.append([job.key.partition("/")[2] for job in asked(master, 4)])
        assert seq == 1
    assert keys[0] == ["update/1/ANSWER/0", "update/1/OTHER/0", "key/mine", "update/1/ANSWER/1"]
    assert keys[0] == keys[1]


def test_tasks_of_a_handler_ask_for_its_update(start_bot):
    tasks = """
async def other(update, context):
    async def ask_for(name):
        await brama.enqueue(name, 1)
    context.application.create_task(ask_for("MANAGED"), update=update)
    kept.add(asyncio.create_task(ask_for("OWN")))
kept = set()
"""
    master: Master = start_bot(script(tasks))
    master.wait_ready()
    seq = master.say("/other", chat_id=77)
    jobs = asked(master, 2)
    assert {job.key.partition("/")[2] for job in jobs} == {
        f"update/{seq}/MANAGED/0",
        f"update/{seq}/OWN/0",
    }
    assert {job.chat_id for job in jobs} == {77}
    master.send(Enqueued(jobs[0].n, "k1"))
    master.say("next")  # whatever the first has in the background
    assert asked(master, 3)[2].name == "ANSWER"
    assert master.seqs(Processed) == []
    master.send(Enqueued(jobs[1].n, "k2"))
    master.wait_processed(seq)


def test_a_scheduled_job_asks_for_its_own_chat_whoevers_update_set_the_timer(start_bot):
    scheduled = """
async def later(context):
    await brama.enqueue("LATER", 1)

async def other(update, context):
    for chat_id in (31, 32):
        context.job_queue.run_once(later, 0, chat_id=chat_id)
"""
    master: Master = start_bot(script(scheduled))
    master.wait_ready()
    master.wait_processed(master.say("/other", chat_id=30))
    jobs = asked(master, 2)
    assert {(job.chat_id, job.user_id, job.update_id) for job in jobs} == {(31, None, None), (32, None, None)}
    assert len({job.key for job in jobs}) == 2
    assert all("/random/" in job.key for job in jobs)


def test_a_refusal_is_an_error_that_the_bot_can_take(start_bot, sent_texts):
    careful = """
async def other(update, context):
    try:
        await brama.enqueue("ANSWER", 1)
    except brama.NotAcceptedError as error:
        await update.message.reply_text(f"sorry: {error}")
"""
    master: Master = start_bot(script(careful))
    master.wait_ready()
    seq = master.say("/other")
    master.send(NotEnqueued(asked(master)[0].n, "the disk is full"))
    master.wait_processed(seq)
    assert sent_texts() == ["sorry: the disk is full"]
    seq = master.say("why?")
    master.send(NotEnqueued(asked(master, 2)[1].n, "the disk is full"))
    failed = master.wait_failed(seq)
    assert (failed.error, failed.detail) == ("brama.errors.NotAcceptedError", "the disk is full")


def test_another_master_is_asked_again(start_bot):
    master: Master = start_bot(script())
    master.wait_ready()
    seqs = [master.say("one"), master.say("two")]
    [job] = asked(master)
    master.send(EnqueueAgain([job.n, 999]))
    assert asked(master, 2)[1] == job
    master.send(Enqueued(job.n, "k1"), Enqueued(job.n, "k1"))
    second = asked(master, 3)[2]
    master.send(EnqueueAgain([job.n]), Enqueued(second.n, "k2"))
    master.wait_processed(*seqs)
    assert len(master.all_said(Enqueue)) == 3


def test_only_so_much_is_on_its_way(start_bot):
    flood = """
async def other(update, context):
    await asyncio.gather(*(brama.enqueue("ANSWER", n) for n in range(250)))
    await asyncio.gather(*(brama.enqueue("LARGE", "x" * 900_000) for n in range(5)))
"""
    master: Master = start_bot(script(flood))
    master.wait_ready()
    seq = master.say("/other")
    answered, most, most_bytes = 0, 0, 0
    while answered < 255:
        jobs = asked(master, answered + 1)
        open_jobs = jobs[answered:]
        most = max(most, len(open_jobs))
        most_bytes = max(most_bytes, sum(len(job.payload) for job in open_jobs))
        for job in open_jobs:
            master.send(Enqueued(job.n, f"k{job.n}"))
        answered = len(jobs)
    master.wait_processed(seq)
    assert most <= MAX_OPEN
    assert most_bytes <= MAX_OPEN_BYTES
    assert [job.n for job in master.all_said(Enqueue)] == list(range(1, 256))


def test_what_cannot_be_a_job_is_refused_in_place(start_bot, sent_texts):
    wrong = """
async def other(update, context):
    for arguments in (
        dict(name="A:B"), dict(name="A", payload=object()), dict(name="A", payload="x" * 1048576),
        dict(name="A", delay="soon"), dict(name="A", priority=-1), dict(name="A", key=""),
    ):
        try:
            await brama.enqueue(**arguments)
        except (TypeError, ValueError) as error:
            await update.message.reply_text(f"{type(error).__name__}: {error}")
"""
    master: Master = start_bot(script(wrong))
    master.wait_ready()
    master.wait_processed(master.say("/other"))
    name, kind, size, delay, priority, key = sent_texts()
    assert name.startswith('ValueError: job "A:B" is not 1 to 100 of')
    assert kind.startswith("TypeError: job A: its payload is nothing that JSON can say")
    assert size.startswith(
        f"ValueError: job A: its payload has 1048578 bytes as JSON and may have {MAX_PAYLOAD_BYTES}"
    )
    assert delay.startswith('ValueError: "soon" is not a duration')
    assert priority.startswith("ValueError: job A: priority -1")
    assert key.startswith("ValueError: job A: a key of 0 characters")
    assert not master.all_said(Enqueue)


def test_a_job_that_runs_keeps_no_worker_awake(start_bot):
    master: Master = start_bot(script())
    master.wait_ready()
    seq = master.say("why?")
    [job] = asked(master)
    master.send(Sleep(unsafe=False))
    assert master.wait_said(StaysAwake).reason == "1 update is in progress"
    master.send(Enqueued(job.n, "k1"))
    master.wait_processed(seq)
    master.send(Sleep(unsafe=False))
    master.wait_said(Dozing)
    assert master.wait_exit() == 0


def test_a_job_outside_any_update_keeps_the_worker_awake(start_bot):
    early = """
async def post_init(app):
    kept.add(asyncio.create_task(brama.enqueue("EARLY", 1)))
kept = set()
"""
    master: Master = start_bot(script(early, ".post_init(post_init)"))
    master.wait_ready()
    [job] = asked(master)
    assert (job.chat_id, job.update_id) == (None, None)
    master.send(Sleep(unsafe=False))
    assert master.wait_said(StaysAwake).reason == "1 job is being enqueued"
    assert master.drain() == 0


def test_no_client_of_the_queue_is_in_a_bot(start_bot, sent_texts, tmp_path):
    """Nor with a typed job, whose module the bot shares with the job workers."""
    (tmp_path / "their_jobs.py").write_text(
        "from pydantic import BaseModel\n"
        "from jobs.author import JobContext, job\n"
        "class Question(BaseModel):\n"
        "    text: str\n"
        "@job('TYPED', queue='slow')\n"
        "async def answer(payload: Question, context: JobContext) -> str:\n"
        "    return payload.text\n"
    )
    typed = """
from jobs.author import enqueue
from their_jobs import Question, answer

async def other(update, context):
    job_id = await enqueue(answer, Question(text="why?"), delay="2s", priority=3, extra="mine")
    loaded = {name.partition(".")[0] for name in sys.modules}
    await update.message.reply_text(f"{job_id} {sorted(loaded & {'redis', 'bullmq', 'valkey'})}")
"""
    master: Master = start_bot(script(typed))
    master.wait_ready()
    seq = master.say("/other")
    [job] = asked(master)
    assert (job.name, job.queue, job.payload) == ("TYPED", "slow", b'{"text":"why?"}')
    assert (job.delay_ms, job.priority, job.extra) == (2000, 3, b'"mine"')
    assert job.key.endswith(f"update/{seq}/TYPED/0")
    master.send(Enqueued(job.n, "k1"))
    master.wait_processed(seq)
    assert sent_texts() == ["k1 []"]


# --- results ----------------------------------------------------------------------------------------


def test_a_result_is_an_update_with_data_of_its_chat_which_is_saved(start_bot, sent_texts):
    pickled = '.persistence(PicklePersistence("kept.pickle"))'
    for round_ in (1, 2):
        master: Master = start_bot(script(builder=pickled))
        master.wait_ready()
        master.wait_processed(deliver_result(master, seq=7))
        assert sent_texts()[-1] == f"42 {{'n': 1}} 5 {round_}"
        os.kill(master.pid, signal.SIGKILL)
        master.wait_gone()


def test_a_failure_comes_with_its_first_line(start_bot, sent_texts):
    master: Master = start_bot(script())
    master.wait_ready()
    master.wait_processed(deliver_result(master, seq=7, ok=False))
    assert sent_texts() == ["no {'n': 1} 5 1"]
    assert not master.all_said(Notice)


def test_a_result_that_no_handler_takes_is_told_of_once_and_done(start_bot):
    master: Master = start_bot(script(takes=False))
    master.wait_ready()
    master.wait_processed(deliver_result(master, seq=7), deliver_result(master, seq=8))
    assert master.notice("job_result") == (
        "no handler takes the result of job ANSWER; add "
        "application.add_handler(TypeHandler(brama.JobResult, callback))"
    )


def test_a_handler_of_results_that_raises_fails_as_with_updates(start_bot):
    master: Master = start_bot(script())
    master.wait_ready()
    seq = deliver_result(master, seq=7, chat_id=None)
    assert master.wait_failed(seq).error == "AttributeError"  # no chat, no chat_data


def test_a_result_of_a_result_is_enqueued_for_it(start_bot):
    """A chain of jobs: the handler of a result enqueues the next one, under keys of that result."""
    chain = """
async def answered(result, context):
    await brama.enqueue("NEXT", result.result)
"""
    master: Master = start_bot(script(chain))
    master.wait_ready()
    deliver_result(master, seq=7)
    [job] = asked(master)
    assert job.key.startswith(f"{number_of(master)}/update/-")
    assert (job.chat_id, job.update_id, job.name, job.payload) == (10, 5, "NEXT", b'{"text":"42"}')
    master.send(Enqueued(job.n, "k2"))
    master.wait_processed(7)


def test_an_error_handler_knows_the_chat_of_a_result(start_bot, sent_texts):
    failing = """
async def answered(result, context):
    raise ValueError(result.name)

async def on_error(result, context):
    context.chat_data["errors"] = 1
    await context.bot.send_message(result.chat_id, f"{context.error} {context.chat_data} {context.user_data}")

def add_error_handler(app):
    app.add_error_handler(on_error)
"""
    text = script(failing).replace("app.run_polling()", "add_error_handler(app)\napp.run_polling()")
    master: Master = start_bot(text)
    master.wait_ready()
    master.wait_processed(deliver_result(master, seq=7))
    assert sent_texts() == ["ANSWER {'errors': 1} {}"]
