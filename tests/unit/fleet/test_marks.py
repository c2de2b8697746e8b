"""Marks name an instance, a bot and a process, whatever spelling the state directory has."""

from brama.marks import Marker, comm_mark, instance_of, parse_marker


def test_an_instance_is_its_directory_however_spelt(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    assert instance_of(tmp_path / "link") == instance_of(tmp_path / "state" / ".." / "state")
    assert instance_of(tmp_path / "state") != instance_of(tmp_path)
    assert len(instance_of(tmp_path)) == 16


def test_a_marker_reads_as_it_was_written(tmp_path):
    marker = Marker(instance_of(tmp_path), "shop.eu-1", 12)  # type: ignore[arg-type]
    assert parse_marker(str(marker)) == marker


def test_what_is_no_marker_is_none():
    for text in ("", "a/b/1", f"{'0' * 16}/shop", f"{'0' * 16}/shop/x", f"{'0' * 16}/a/b/1"):
        assert parse_marker(text) is None


def test_a_command_name_is_what_the_kernel_keeps(tmp_path):
    instance = instance_of(tmp_path)
    assert comm_mark(instance) == f"brama.{instance[:9]}"
    assert len(comm_mark(instance).encode()) == 15
