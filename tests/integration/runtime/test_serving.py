"""A bot gets its updates over the pipe, answers through the Bot API, and says how far it is."""

from brama.messages import Begun, Ready, Released, Returned


def test_a_bot_answers_what_the_master_delivers(start_bot, sent_texts):
    bot = start_bot("echo_bare.py")
    assert bot.wait_ready() == Ready(allowed_updates=None, concurrent_updates=1, persistent=False)
    seq = bot.say("hello")
    bot.wait_processed(seq)
    assert sent_texts() == ["hello"]
    assert bot.seqs(Begun) == bot.seqs(Released) == [seq]
    assert bot.drain() == 0
    assert bot.seqs(Returned) == []
