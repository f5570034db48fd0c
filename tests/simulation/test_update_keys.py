"""Keys are changed by releases, for good: shown on the simulated machine in virtual time."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest

from agent.foundation.disk import Disk
from agent.ota.bundle_format import key_id_of
from agent.ota.keyring import FILE_NAME
from agent.ota.keys import TRUST_FILE, KeyChanges
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from lab.simulation.rollout import PRIVATE_KEY, SimulatedRelease, make_release

from .update_bench import Bench, bench, closed, live

SECOND_KEY = hashlib.sha256(b"the second key").digest()


def public_of(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


FIRST, SECOND = (key_id_of(public_of(each)).hex() for each in (PRIVATE_KEY, SECOND_KEY))


def release(sequence: int, private: bytes, trust: KeyChanges = KeyChanges()) -> SimulatedRelease:  # noqa: B008
    return make_release(
        f"{sequence}.0.0", sequence, private_key=private, files={TRUST_FILE: msgspec.json.encode(trust)}
    )


ADDS = release(6, PRIVATE_KEY, KeyChanges((public_of(SECOND_KEY).hex(),)))
REVOKES = release(7, SECOND_KEY, KeyChanges((), (FIRST,)))
BY_FIRST, BY_SECOND = release(8, PRIVATE_KEY), release(9, SECOND_KEY)


def play(made: Bench, offered: SimulatedRelease, state: UpdateState = UpdateState.COMPLETED) -> UpdateService:
    """Publish a release and let the hub end with it."""
    made.trees[offered.version] = offered.tree_files
    made.publish(offered)
    return live(made, lambda service: closed(state)(service) and service.store.record.offer.version == offered.version)


def trusted(service: UpdateService) -> set[str]:
    return {each.hex() for each in service.trust_store.trusted_keys()}


def test_rotated_key_stays_revoked() -> None:
    with bench() as made:
        assert trusted(play(made, ADDS)) == {FIRST, SECOND}
        assert trusted(play(made, REVOKES)) == {SECOND}
        service = play(made, BY_FIRST, UpdateState.FAILED)
        assert f"key {FIRST}, which this hub does not trust" in service.store.record.error
        assert trusted(play(made, BY_SECOND)) == {SECOND}


def lose_file(state_dir: Path) -> None:
    for path in state_dir.glob(f"{FILE_NAME}*"):
        path.unlink()


def lose_record(state_dir: Path) -> None:
    for path in state_dir.glob("update.json*"):
        path.unlink()
    shutil.rmtree(state_dir / "slots")


def lose_slots(state_dir: Path) -> None:
    shutil.rmtree(state_dir / "slots")
    (state_dir / "launcher.json").unlink()


def break_file(state_dir: Path) -> None:
    for path in state_dir.glob(f"{FILE_NAME}*"):
        path.write_bytes(b"\0" * 40)


@pytest.mark.parametrize("lose", [lose_file, lose_record, lose_slots, break_file])
def test_rollback_to_the_package_restores_no_key_and_no_floor(lose: object) -> None:
    with bench() as made:
        play(made, ADDS)
        play(made, REVOKES)
        lose(made.machine.state_dir)  # type: ignore[operator]
        service = live(
            made, lambda service: service.store.record.state is not UpdateState.IDLE or made.loop.time() > 3 * 3600
        )
        assert trusted(service) == {SECOND}
        assert service.launcher_state.floor == 7
        # A factory reset leaves what stands in OUTLIVES_RESET; see tests/unit/foundation/test_state_files.py.


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (release(6, PRIVATE_KEY, KeyChanges((public_of(SECOND_KEY).hex(),), (FIRST,))), "which signs it"),
        (make_release("6.0.0", 6, files={TRUST_FILE: b'{"revoked": ["nonsense"]}'}), "no key"),
    ],
    ids=["revokes its signer", "cannot be read"],
)
def test_release_with_invalid_key_changes_is_refused_before_it_runs(offered: SimulatedRelease, why: str) -> None:
    with bench() as made:
        service = play(made, offered, UpdateState.FAILED)
        assert why in service.store.record.error
        assert [each for each in service.store.record.refusals if why in each.reason]
        assert set(made.boots) == {"1.0.0"}
        assert trusted(service) == {FIRST}
        assert list((made.machine.state_dir / "slots").iterdir()) == []


def test_failed_trial_changes_no_key() -> None:
    with bench(sick=("7.0.0",)) as made:
        play(made, ADDS)
        assert trusted(play(made, REVOKES, UpdateState.FAILED)) == {FIRST, SECOND}


def test_unsigned_key_list_is_ignored() -> None:
    unsigned = make_release(
        "6.0.0", 6, private_key=b"", files={TRUST_FILE: msgspec.json.encode(KeyChanges((public_of(SECOND_KEY).hex(),)))}
    )
    with bench() as made:
        made.config = {"allow_unsigned": True}
        service = play(made, unsigned, UpdateState.FAILED)
        assert "an unsigned one cannot change" in service.store.record.error
        assert trusted(service) == {FIRST}
        assert Disk().read(made.machine.state_dir / FILE_NAME, bytes_max=99) is None
