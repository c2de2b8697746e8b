"""Bots come up, end in every way there is, and go down: real processes, played-to neighbours."""



from supervisor.fleet.policy.model import State, Wanted
from tests.integration.fleet.stage import bot, lives, settings, staged
from tests.waiting import await_until


async def test_bots_come_up_take_updates_and_go_down(tmp_path):
    names = [f"bot{number}" for number in range(12)]
    bots = [bot(name, "serve", tmp_path / name) for name in names]
    async with staged(settings(tmp_path, *bots)) as stage:
        await stage.all_reach(State.RUNNING)
        assert len({view.pid for view in stage.fleet.views()}) == 12
        assert stage.pollers.open_for == set(names)
        assert stage.pollers.allowed["bot3"] == ["message"]
        stage.router.deliver("bot3", 7)
        await await_until(lambda: stage.view("bot3").messages == 1)
        await await_until(lambda: stage.view("bot3").memory_bytes > 0)
        pids = [view.pid for view in stage.fleet.views()]
        await stage.fleet.stop(20.0)
        assert stage.pollers.open_for == set()
        assert not any(lives(pid) for pid in pids)
        assert stage.router.gone == [(name, True) for name, _ in stage.router.gone]
        assert {view.wanted for view in stage.fleet.views()} == {Wanted.RUNNING}
        assert stage.zygote.pid is None
