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
