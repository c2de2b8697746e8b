"""Configurations that change under a running fleet: the installed command, real bots, the sandbox."""

import itertools
import resource
import signal
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode
from supervisor.control.policy.progress import UP
from tests.fixtures.fleet import Fleet, lives
from tests.waiting import wait_until


def pids(fleet: Fleet) -> dict[str, int | None]:
    return {worker.bot_id: worker.pid for worker in fleet.status().workers}


def reload(fleet: Fleet, *arguments: str) -> list[str]:
    """Write the configuration and reload it; returns what was said."""
    fleet.configure()
    done = fleet.run("reload", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_only_what_changed_is_touched(fleet: Fleet):
    for name in ("shop", "support", "news"):
        fleet.add(name)
    fleet.start_and_wait()
    before = pids(fleet)
    fleet.entries["shop"]["settings"] = {"greeting": "ciao"}
    fleet.entries["support"]["env"] = {"DB": "other.db"}
    del fleet.entries["news"]
    orders = fleet.add("orders")
    del fleet.bots["news"]
    planned = reload(fleet, "--dry-run")
    assert planned == [
        "shop: takes in settings",
        "support: restarts (env)",
        "orders: starts, it is new",
        "news: finishes what it has begun and stops",
    ]
    assert pids(fleet) == before, "a dry run touches nothing"
    assert len(reload(fleet)) == len(planned)
    assert orders.ask("hello") == "hello"
    assert fleet.bots["shop"].ask("setting greeting") == "ciao"
    fleet.wait_replaced("support", before["support"] or 0)
    assert fleet.bots["support"].ask("environment DB") == "other.db"
    wait_until(lambda: set(pids(fleet)) == {"shop", "support", "orders"}, what="news to leave")
    assert pids(fleet)["shop"] == before["shop"]
    assert not lives(before["news"] or 0)
    assert reload(fleet) == ["nothing has changed"]


def test_a_bad_file_changes_nothing_and_all_of_it_is_said(fleet: Fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    before = pids(fleet)
    fleet.entries["shop"]["script"] = "/nowhere/shop.py"
    fleet.entries["shop"]["cwd"] = "/nowhere"
    fleet.sections["limits"] = {"max_workers": "many"}
    fleet.configure()
    for arguments in (("--dry-run",), ()):
        done = fleet.run("reload", *arguments)
        assert (done.returncode, done.stdout) == (ExitCode.CONFIG, "")
        assert sorted(line.partition("brama.yaml")[2].split()[1] for line in done.stderr.splitlines()) == [
            "bots[0].cwd:",
            "bots[0].script:",
            "limits.max_workers:",
        ]
    assert pids(fleet) == before
    assert len(fleet.status().master.reload_problems) == 3
    assert "the last reload changed nothing: " in fleet.run("status").stdout
    del fleet.sections["limits"]
    fleet.entries["shop"].update(script=str(Path(__file__).parents[1] / "bots_e2e" / "obedient.py"))
    fleet.entries["shop"].update(cwd=str(fleet.folder))
    assert reload(fleet) == ["nothing has changed"]
    assert fleet.status().master.reload_problems == ()


def test_hangup_reloads_and_a_refusal_is_logged(fleet: Fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    fleet.entries["shop"]["settings"] = {"greeting": "ciao"}
    fleet.configure()
    assert fleet.process is not None
    fleet.process.send_signal(signal.SIGHUP)
    wait_until(lambda: fleet.events("configuration.applied"), what="the reload")
    assert fleet.bots["shop"].ask("setting greeting") == "ciao"
    fleet.config.write_text("bots: [")
    fleet.process.send_signal(signal.SIGHUP)
    [refused] = wait_until(lambda: fleet.events("configuration.refused"), what="the refusal")
    assert "is not YAML" in refused["problems"][0]
    assert fleet.bots["shop"].ask("still here") == "still here"


def test_a_removed_bot_finishes_what_it_has_begun_and_what_waits_is_kept_until_it_returns(
    fleet: Fleet, tmp_path: Path
):
    shop = fleet.add("shop")
    fleet.start_and_wait()
    shop.send(f"hold {tmp_path / 'go'}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the update to be begun")
    shop.send("one", "two")
    wait_until(lambda: fleet.worker("shop").inbox == 3, what="three updates in the inbox")
    entry = fleet.entries.pop("shop")
    reload(fleet)
    assert fleet.worker("shop").state == "STOPPING"
    (tmp_path / "go").touch()
    wait_until(lambda: not fleet.status().workers, what="the bot to leave")
    assert shop.answers() == ["held until go"]
    [orphan] = fleet.status().orphans
    assert (orphan.bot_id, orphan.telegram_id, orphan.inbox) == ("shop", shop.telegram_id, 2)
    fleet.entries["store"] = {**entry, "id": "store"}
    reload(fleet)
    assert shop.wait_answers(3)[1:] == ["one", "two"]
    assert fleet.status().orphans == ()
    assert fleet.run("orphans", "drop", str(shop.telegram_id), "--yes").returncode == ExitCode.FAILED


def test_what_is_kept_of_a_removed_bot_can_be_dropped(fleet: Fleet):
    shop, support = fleet.add("shop"), fleet.add("support")
    fleet.start_and_wait()
    fleet.command("stop", "support")
    shop.send("raise it", "raise it again")
    fleet.letters("shop", 2)
    del fleet.entries["shop"]
    reload(fleet)
    wait_until(lambda: fleet.status().orphans, what="the orphan")
    dropped = fleet.run("orphans", "drop", str(shop.telegram_id), "--yes")
    assert (dropped.returncode, dropped.stdout) == (0, "dropped 2 updates\n")
    assert fleet.status().orphans == ()
    assert fleet.status().totals.dead_letters == 0
    fleet.stop()
    tally = fleet.tally("shop")
    assert (tally.committed, tally.purged, tally.waiting) == (2, 2, 0)
    assert support.answers() == []


def test_a_rotated_token_keeps_its_backlog(fleet: Fleet, tmp_path: Path):
    shop = fleet.add("shop")
    fleet.start_and_wait()
    pid = fleet.pid("shop")
    shop.send(f"hold {tmp_path / 'go'}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the update to be begun")
    shop.send("one")
    rotated = shop.token.replace("testkey", "rotated")
    fleet.sandbox.control.revoke(shop.telegram_id)
    fleet.sandbox.control.add_bot(rotated)
    fleet.entries["shop"]["token"] = rotated
    assert reload(fleet) == ["shop: restarts (token)"]
    (tmp_path / "go").touch()
    fleet.wait_replaced("shop", pid)
    assert shop.ask("two") in {"held until go", "one", "two"}
    wait_until(lambda: shop.answers()[-1] == "two", what="the last answer")
    assert "one" in shop.answers()
    assert rotated not in fleet.output() + fleet.log("shop")


def test_another_bots_token_under_an_old_name_inherits_nothing(fleet: Fleet):
    shop = fleet.add("shop")
    fleet.start_and_wait()
    other = fleet.add("other")
    del fleet.entries["other"]
    fleet.command("stop", "shop")
    shop.send("for the old one")
    fleet.entries["shop"]["token"] = other.token
    assert reload(fleet) == ["shop: gives its name to another bot of Telegram"]
    fleet.command("start", "shop")
    fleet.wait_state("RUNNING", "shop")
    assert other.ask("for the new one") == "for the new one"
    assert shop.answers() == []


def test_environment_files_are_read_again(fleet: Fleet):
    variables = fleet.folder / "shop.env"
    variables.write_text("DB=one.db\n")
    shop = fleet.add("shop", env_file=str(variables))
    fleet.start_and_wait()
    pid = fleet.pid("shop")
    assert shop.ask("environment DB") == "one.db"
    variables.write_text("DB=two.db\n")
    assert reload(fleet) == ["shop: restarts (env)"]
    fleet.wait_replaced("shop", pid)
    assert shop.ask("environment DB") == "two.db"


def test_limits_apply_to_what_runs(fleet: Fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    pid = fleet.pid("shop")
    guard, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
    fleet.sections["limits"] = {"min_free_memory": "0%", "memory_per_worker": "100MB", "worker_timeout": "5s"}
    fleet.sections["heartbeat"] = {"interval": "1s"}
    assert reload(fleet) == ["applied: limits.memory_per_worker, limits.worker_timeout, heartbeat.interval"]
    assert guard - resource.prlimit(pid, resource.RLIMIT_DATA)[0] == 2 * 50 * 1024**2
    beats = [fleet.worker("shop").heartbeat_age_ms]
    wait_until(lambda: _beats_again(fleet, beats), what="heartbeats of the new interval")
    assert fleet.pid("shop") == pid


def _beats_again(fleet: Fleet, ages: list[int | None]) -> bool:
    """Tell whether the heartbeat's age has fallen three times: with 30 s between two it would not."""
    ages.append(fleet.worker("shop").heartbeat_age_ms)
    return sum((b or 0) < (a or 0) for a, b in itertools.pairwise(ages)) >= 3


def test_enabled_is_the_configurations_wish_and_a_command_overrides_it(fleet: Fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    fleet.entries["shop"]["enabled"] = False
    assert reload(fleet) == ["shop: stops"]
    fleet.wait_state("STOPPED")
    assert fleet.worker("shop").reason == "disabled in the configuration (enabled: false)"
    assert fleet.run("status").returncode == 0
    assert fleet.run("start", "shop").returncode == 0
    worker = fleet.worker("shop")
    assert (worker.state, worker.overridden) == ("RUNNING", True)
    fleet.stop()
    fleet.start()
    fleet.wait_state("RUNNING")
    assert fleet.worker("shop").overridden
    fleet.entries["shop"]["enabled"] = True
    reload(fleet)
    assert not fleet.worker("shop").overridden


def test_what_is_decided_at_the_start_waits_for_the_next_one(fleet: Fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    fleet.sections["dedup"] = {"window": "5s"}
    fleet.sections["state_dir"] = str(fleet.folder / "elsewhere")
    fleet.configure()
    # The command looks for the master where the file says now, so the master is asked where it is.
    fleet.sections.pop("state_dir")
    result = fleet.client.reload(dry_run=False)
    assert result.waiting == ("state_dir", "dedup.window")
    assert fleet.status().workers[0].state in UP


@pytest.mark.parametrize("when", ["start", "stop"])
def test_a_reload_while_the_master_starts_or_stops_harms_nobody(fleet: Fleet, when: str, tmp_path: Path):
    fleet.add("shop")
    if when == "start":
        fleet.start()
        wait_until(lambda: (fleet.state_dir / "brama.sock").exists(), 60.0, what="the control socket")
        fleet.add("support")
        assert reload(fleet) in (["support: starts, it is new"], ["support: started, it is new"])
        fleet.wait_state("RUNNING")
        return
    fleet.start_and_wait()
    fleet.bots["shop"].send(f"hold {tmp_path / 'go'}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the update to be begun")
    fleet.client.stop()
    fleet.add("support")
    fleet.configure()
    done = fleet.run("reload")
    assert done.returncode == ExitCode.FAILED
    assert "the master is stopping; nothing was changed" in done.stderr
    (tmp_path / "go").touch()
    assert fleet.wait_ended() == 0
