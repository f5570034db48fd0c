"""A restoration happens whole or not at all, wherever the power fails, and leaves nothing of another hub."""

import stat
from pathlib import Path

import pytest

from agent.backup import contents, restoration
from agent.backup.archive import Backup
from agent.backup.errors import BackupRefused
from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.staging_files import StagingFiles
from tests.unit.backup.conftest import CONFIG, KEY, used_state
from tests.unit.power_cut import Cutter, PowerCut

OLD_CONFIG = b'[storage]\nstate_dir = "state"\n'


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of operations matters here, and not when they reach the medium."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(StagingFiles, "sync", lambda self, name: self._announce(Operation.FSYNC, name))


def restore(backup: Backup, state: Path, config: Path, disk: Disk) -> None:
    restoration.stage(backup, state, config, disk)
    resume(state, config, disk)


def resume(state: Path, config: Path, disk: Disk) -> None:
    plan = restoration.pending(state, disk)
    if plan is not None:
        restoration.place_config(plan, state, config, disk)
        restoration.place_state(plan, state, disk)


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(".new") and "restore.new" not in path.parts
    }


def machine(root: Path, *, is_used: bool) -> tuple[Path, Path]:
    state = used_state(root / "state") if is_used else root / "state"
    state.mkdir(exist_ok=True, parents=True)
    config = root / "etc" / "config.toml"
    config.parent.mkdir()
    if is_used:
        config.write_bytes(OLD_CONFIG)
        (config.parent / "api-key").write_text("old key")
    return state, config


@pytest.mark.parametrize("is_used", [False, True])
def test_nothing_of_another_hub_stays_and_the_machine_keeps_its_own(
    tmp_path: Path, backup: Backup, is_used: bool
) -> None:
    state, config = machine(tmp_path, is_used=is_used)
    assert restoration.is_configured(state, config) is is_used
    restore(backup, state, config, Disk())
    assert config.read_bytes() == CONFIG
    assert (config.parent / "api-key").read_bytes() == KEY
    assert stat.S_IMODE((config.parent / "api-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o644
    assert stat.S_IMODE((config.parent / "update-keys" / "one.pub").stat().st_mode) == 0o644
    found = tree(state)
    own = {
        name: f"old {name}".encode() for name in ("launcher.json", "launcher.json.copy", "unprovisioned", "boots.json")
    }
    own["slots/a"] = b"a release"
    assert found.pop(contents.COMMANDS_MARKER)
    assert found == {**backup.state, **(own if is_used else {})}
    assert all(stat.S_IMODE((state / name).stat().st_mode) == 0o600 for name in backup.state)
    assert restoration.finish(state, config, Disk()) == ""


@pytest.mark.parametrize("is_used", [False, True])
@pytest.mark.parametrize("same_config", [False, True])
def test_a_power_cut_at_any_operation_leaves_the_old_hub_or_the_new_one(
    tmp_path: Path, backup: Backup, is_used: bool, same_config: bool
) -> None:
    """After each cut a hub starts, and then the command is run again, as the message says."""
    whole, at, cut = None, 0, True
    outcomes = set()
    while cut:
        at += 1
        root = tmp_path / str(at)
        root.mkdir()
        state, config = machine(root, is_used=is_used)
        if same_config:
            config.write_bytes(CONFIG)
        old, old_config = tree(state), config.read_bytes() if config.exists() else None
        try:
            restore(backup, state, config, Disk(Cutter(at)))
            cut = False
        except PowerCut:
            pass
        problem = restoration.finish(state, config, Disk())
        assert not (state / restoration.STAGED).exists()
        found = tree(state)
        is_old = {name: data for name, data in found.items() if not name.startswith("restore.")} == old
        if problem:
            assert "climahub restore --resume" in problem
            assert is_old
            outcomes.add("waits")
        elif is_old:
            assert (config.read_bytes() if config.exists() else None) == old_config
            assert "restore.ready" not in {name.split("/")[0] for name in found}
            outcomes.add("old")
        else:
            assert config.read_bytes() == CONFIG
            assert (config.parent / "api-key").read_bytes() == KEY
            outcomes.add("new")
        resume(state, config, Disk())
        if outcomes - {"old"} and not cut:
            whole = tree(state)
        if not is_old or problem:
            assert (config.parent / "api-key").read_bytes() == KEY
            assert set(backup.state) <= set(tree(state))
            assert "outbox.db" not in tree(state)
    assert outcomes == {"old", "waits", "new"}
    assert whole is not None
    assert at > 20


def test_a_disk_that_refuses_leaves_the_hub_as_it_was(tmp_path: Path, backup: Backup) -> None:
    state, config = machine(tmp_path, is_used=True)
    before = tree(state)

    def full(operation: Operation, target: str) -> None:
        del operation
        if target.endswith("facts.db"):
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageFull):
        restoration.stage(backup, state, config, Disk(full))
    assert restoration.finish(state, config, Disk()) == ""
    assert tree(state) == before
    assert config.read_bytes() == OLD_CONFIG


def test_an_interrupted_restoration_is_finished_before_another_begins(tmp_path: Path, backup: Backup) -> None:
    state, config = machine(tmp_path, is_used=False)
    restoration.stage(backup, state, config, Disk())
    with pytest.raises(BackupRefused, match="--resume"):
        restoration.stage(backup, state, config, Disk())
    assert "--resume" in restoration.finish(state, config, Disk())


def test_a_damaged_plan_is_told_and_the_hub_stays_as_it_is(tmp_path: Path, backup: Backup) -> None:
    state, config = machine(tmp_path, is_used=False)
    restoration.stage(backup, state, config, Disk())
    (state / restoration.READY / restoration.PLAN).write_bytes(b"{")
    assert "its plan is damaged" in restoration.finish(state, config, Disk())
    assert not (state / "climate.json").exists()


def test_a_keyring_of_the_machine_stays(tmp_path: Path, backup: Backup) -> None:
    """The machine may know of more revoked keys than the backup."""
    state, config = machine(tmp_path, is_used=True)
    (state / "keyring.json").write_text("own")
    restore(backup, state, config, Disk())
    assert (state / "keyring.json").read_text() == "own"
