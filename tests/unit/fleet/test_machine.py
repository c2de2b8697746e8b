"""Free memory is that of the machine, or of the container if that is less."""

import pytest

from supervisor.fleet.machine import free_memory_share


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/system.slice/brama.service").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(
        "MemTotal:       1000 kB\nMemFree:        100 kB\nMemAvailable:   400 kB\n"
    )
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/brama.service\n")
    return tmp_path


def limit(folder, maximum: str, used: int, cached: int = 0) -> None:
    (folder / "memory.max").write_text(f"{maximum}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def test_the_machine_alone(root):
    assert free_memory_share(root) == 0.4
    limit(root / "sys/fs/cgroup/system.slice", "max", 500)
    assert free_memory_share(root) == 0.4


def test_the_tightest_group_counts_and_file_cache_is_free(root):
    limit(root / "sys/fs/cgroup/system.slice", "1000", 700)
    assert free_memory_share(root) == pytest.approx(0.3)
    limit(root / "sys/fs/cgroup/system.slice/brama.service", "1000", 950, cached=150)
    assert free_memory_share(root) == pytest.approx(0.2)


def test_without_control_groups(root):
    (root / "proc/self/cgroup").unlink()
    assert free_memory_share(root) == 0.4


def test_this_machine_has_some():
    assert 0.0 < free_memory_share() <= 1.0
