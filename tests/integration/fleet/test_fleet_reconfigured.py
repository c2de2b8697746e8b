"""A running fleet becomes what another configuration says, and touches only what differs."""

from brama.ids import BotId, TelegramId
from supervisor.fleet.policy.model import State
from tests.integration.fleet.stage import NotedRoll, Stage, bot, lives, settings, staged
from tests.waiting import await_until

SHOP = BotId("shop")


async def test_what_does_not_differ_is_not_touched(tmp_path):
    shop, support = bot("shop", "serve", tmp_path), bot("support", "serve", tmp_path, number=2)
    async with staged(settings(tmp_path, shop, support)) as stage:
        await stage.all_reach(State.RUNNING)
        pids = [view.pid for view in stage.fleet.views()]
        news = bot("news", "serve", tmp_path, number=3)
        await stage.fleet.reconfigure(settings(tmp_path, news, support, shop), ())
        await stage.reaches(State.RUNNING, "news")
        views = {view.bot_id: view for view in stage.fleet.views()}
        assert list(views) == ["news", "support", "shop"], "the order is the configuration's"
        assert [stage.view("shop").pid, stage.view("support").pid] == pids


async def test_a_removed_bot_drains_and_leaves(tmp_path):
    shop, support = bot("shop", "serve", tmp_path), bot("support", "serve", tmp_path, number=2)
    async with staged(settings(tmp_path, shop, support)) as stage:
        await stage.all_reach(State.RUNNING)
        pid = stage.view("support").pid
        await stage.fleet.reconfigure(settings(tmp_path, shop), ())
        view = stage.view("support")
        assert (view.state, view.reason) == (State.STOPPING, "removed from the configuration")
        assert await stage.fleet.command("start", [view.bot_id]) == {
            "support": "removed from the configuration"
        }
        await _leaves(stage, "support")
        assert not lives(pid or 0)
        assert "support" not in stage.pollers.open_for
        assert stage.state() is State.RUNNING


async def test_a_removed_bot_that_returns_while_it_drains_comes_back_after_its_process(tmp_path):
    shop = bot("shop", "serve", tmp_path)
    async with staged(settings(tmp_path, shop)) as stage:
        pid = (await stage.reaches(State.RUNNING)).pid
        await stage.fleet.reconfigure(settings(tmp_path), ())
        await stage.fleet.reconfigure(settings(tmp_path, shop), ())
        await stage.outlives(pid)
        assert stage.roll.left == [SHOP]


async def test_another_bot_under_an_old_name_waits_for_the_end_of_the_first(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        pid = (await stage.reaches(State.RUNNING)).pid
        await stage.fleet.reconfigure(settings(tmp_path, bot("shop", "serve", tmp_path, number=9)), ())
        assert stage.roll.present[SHOP].telegram_id == 1001
        await stage.outlives(pid)
        assert stage.roll.present[SHOP].telegram_id == TelegramId(1009)
        assert not lives(pid or 0)


async def test_a_renamed_bot_waits_for_the_process_of_its_old_name(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        pid = (await stage.reaches(State.RUNNING)).pid
        await stage.fleet.reconfigure(settings(tmp_path, bot("store", "serve", tmp_path)), ())
        assert [view.bot_id for view in stage.fleet.views()] == ["shop"], "never two for one bot of Telegram"
        await await_until(lambda: "store" in stage.roll.present, 30.0, "store to come")
        assert not lives(pid or 0)
        await stage.reaches(State.RUNNING, "store")


async def test_two_bots_that_swap_their_tokens_wait_for_each_other(tmp_path):
    def swapped(first: int, second: int):
        one, two = bot("one", "serve", tmp_path, number=first), bot("two", "serve", tmp_path, number=second)
        return settings(tmp_path, one, two)

    async with staged(swapped(1, 2)) as stage:
        await stage.all_reach(State.RUNNING)
        pids = [view.pid for view in stage.fleet.views()]
        await stage.fleet.reconfigure(swapped(2, 1), ())
        await await_until(lambda: len(stage.roll.left) == 2, 30.0, "both to leave")
        await stage.all_reach(State.RUNNING)
        assert {name: entry.telegram_id for name, entry in stage.roll.present.items()} == {
            "one": 1002,
            "two": 1001,
        }
        assert not any(lives(pid or 0) for pid in pids)


async def test_a_stopped_bot_that_gives_its_name_away_lets_nobody_pass(tmp_path):
    """It is gone at once, and the other one of the swap is not."""
    first, second = bot("one", "serve", tmp_path, number=1), bot("two", "serve", tmp_path, number=2)
    async with staged(settings(tmp_path, first, second)) as stage:
        await stage.all_reach(State.RUNNING)
        await stage.fleet.command("stop", [BotId("one")])
        await stage.reaches(State.STOPPED, "one")
        pid = stage.view("two").pid
        swapped = bot("one", "serve", tmp_path, number=2), bot("two", "serve", tmp_path, number=1)
        await stage.fleet.reconfigure(settings(tmp_path, *swapped), ())
        assert [view.bot_id for view in stage.fleet.views() if view.pid] == ["two"]
        await await_until(lambda: stage.roll.present.keys() == {"one", "two"}, 30.0, "both to come")
        assert not lives(pid or 0)


async def test_a_waiting_bot_that_is_not_wanted_any_more_never_comes(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        await stage.reaches(State.RUNNING)
        await stage.fleet.reconfigure(settings(tmp_path, bot("store", "serve", tmp_path)), ())
        await stage.fleet.reconfigure(settings(tmp_path), ())
        await _leaves(stage, "shop")
        assert stage.roll.present == {}


async def test_a_changed_entry_gets_a_new_process_that_is_told_the_new_one(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        pid = (await stage.reaches(State.RUNNING)).pid
        await stage.fleet.reconfigure(settings(tmp_path, bot("shop", "crash", tmp_path)), {SHOP})
        await await_until(lambda: stage.view().restarts > 1 or stage.state() is State.FATAL, 30.0, "crashes")
        assert not lives(pid or 0)


async def test_disabled_bots_stop_and_enabled_ones_start(tmp_path):
    shop = bot("shop", "serve", tmp_path)
    off = shop.model_copy(update={"enabled": False})
    async with staged(settings(tmp_path, shop)) as stage:
        await stage.reaches(State.RUNNING)
        await stage.fleet.reconfigure(settings(tmp_path, off), ())
        view = await stage.reaches(State.STOPPED)
        assert view.reason == "disabled in the configuration (enabled: false)"
        await stage.fleet.reconfigure(settings(tmp_path, shop), ())
        await stage.reaches(State.RUNNING)


async def test_a_change_of_enabled_ends_what_was_commanded(tmp_path):
    shop = bot("shop", "serve", tmp_path)
    async with staged(settings(tmp_path, shop)) as stage:
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)
        assert stage.view().is_overridden
        await stage.fleet.reconfigure(settings(tmp_path, shop.model_copy(update={"enabled": False})), ())
        assert not stage.view().is_overridden
        assert "wanted/shop" not in stage.store.rows


async def test_a_stopped_bot_stays_stopped_whatever_changes_of_its_entry(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        await stage.fleet.command("stop", [SHOP])
        await stage.reaches(State.STOPPED)
        await stage.fleet.reconfigure(settings(tmp_path, bot("shop", "serve", tmp_path, "--new")), {SHOP})
        assert (stage.state(), stage.view().reason) == (State.STOPPED, "stopped by command")


async def test_changes_in_quick_succession_leave_one_process_or_none(tmp_path):
    shop = bot("shop", "serve", tmp_path)
    entries = [(), (shop,), (shop.model_copy(update={"enabled": False}),), (shop,)]
    async with staged(settings(tmp_path, shop)) as stage:
        for bots in entries * 5:
            await stage.fleet.reconfigure(settings(tmp_path, *bots), {SHOP})
        await stage.reaches(State.RUNNING)
        await stage.fleet.reconfigure(settings(tmp_path), ())
        await _leaves(stage, "shop")


async def test_bots_that_leave_are_gone_from_whoever_knew_them(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        await stage.reaches(State.RUNNING)
        await stage.fleet.reconfigure(settings(tmp_path), ())
        await _leaves(stage, "shop")
        assert stage.roll == NotedRoll({}, [SHOP])
        stage.fleet.token_rejected(SHOP, 401, "Unauthorized")
        assert stage.fleet.views() == ()


async def _leaves(stage: Stage, bot_id: str) -> None:
    await await_until(
        lambda: bot_id not in {view.bot_id for view in stage.fleet.views()}, 30.0, f"{bot_id} to leave"
    )


async def test_no_successor_starts_once_the_fleet_stops(tmp_path):
    async with staged(settings(tmp_path, bot("shop", "serve", tmp_path))) as stage:
        await stage.reaches(State.RUNNING)
        await stage.fleet.reconfigure(settings(tmp_path, bot("shop", "serve", tmp_path, number=9)), ())
        await stage.fleet.stop(20.0)
        assert [view.pid for view in stage.fleet.views()] in ([], [None])
        assert stage.roll.present.get(SHOP) is None
