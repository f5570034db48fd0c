"""The pure file of images of the whole system: what happened while nobody looked, and RAUC's words in plain ones."""

import pytest

from agent.ota import image
from agent.ota.image import STARTS_MAX, Boot
from agent.ota.launcher import BASE, Failed
from agent.ota.launcher import State as Account
from agent.ota.lifecycle import ATTEMPTS_MAX, RESTARTS_MAX, Event, Record, State, after
from agent.ota.manifest import Offer, PayloadType

OFFER = Offer("3.0.0", "ab" * 32, 100)
OLD, LATER, NEW = Boot("A", "boot-1"), Boot("A", "boot-2"), Boot("B", "boot-2")
ACCOUNT = Account(good="a", floor=2)
FAILED = Account(good=BASE, floor=2, failed=Failed("3.0.0", 3, "the outbox cannot be written"))


def at(state: State, **changes: object) -> Record:
    values = {"boot_slot": "A", "payload_type": PayloadType.RAUC} | changes
    return Record(state=state, offer=OFFER, sequence=3, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "account", "boot", "event"),
    [
        (at(State.VERIFYING), ACCOUNT, OLD, None),
        (at(State.APPLYING, boot_slot=""), ACCOUNT, OLD, Event.RESUME),
        (at(State.APPLYING), ACCOUNT, OLD, Event.RESUME),
        (at(State.APPLYING, attempts=ATTEMPTS_MAX), ACCOUNT, OLD, Event.LOSE),
        (at(State.APPLYING), ACCOUNT, NEW, Event.PLACED),
        (at(State.READY), ACCOUNT, OLD, None),
        (at(State.READY), ACCOUNT, LATER, None),
        (at(State.READY), ACCOUNT, NEW, Event.STARTED),
        (at(State.READY, restarts=1, boot_id="boot-1"), ACCOUNT, OLD, None),
        (at(State.READY, restarts=RESTARTS_MAX, boot_id="boot-1"), ACCOUNT, OLD, Event.LOSE),
        (at(State.READY, restarts=STARTS_MAX - 1, boot_id="boot-1"), ACCOUNT, LATER, None),
        (at(State.READY, restarts=STARTS_MAX, boot_id="boot-1"), ACCOUNT, LATER, Event.FAIL),
        (at(State.READY, restarts=1, boot_id="boot-1"), FAILED, LATER, Event.FAIL),
        (at(State.TRIAL), ACCOUNT, NEW, None),
        (at(State.TRIAL), FAILED, NEW, None),
        (at(State.TRIAL), Account(floor=3), NEW, Event.PROVEN),
        (at(State.TRIAL), ACCOUNT, LATER, Event.FAIL),
        (at(State.TRIAL), ACCOUNT, Boot("", "boot-2"), Event.LOSE),
        (at(State.COMPLETED), ACCOUNT, LATER, None),
        (at(State.FAILED), ACCOUNT, NEW, None),
    ],
)
def test_what_happened_to_an_image(record: Record, account: Account, boot: Boot, event: Event | None) -> None:
    found = image.reconciled(record, account, boot)
    assert (found[0] if found else None) == event


def test_the_old_system_tells_why_the_new_one_failed() -> None:
    assert image.reconciled(at(State.TRIAL), FAILED, LATER) == (Event.FAIL, "the outbox cannot be written")
    found = image.reconciled(at(State.TRIAL), ACCOUNT, LATER)
    assert found is not None
    assert "the boot loader went back" in found[1]


def test_the_failure_of_another_release_is_not_this_ones() -> None:
    other = Account(failed=Failed("3.0.0", 2, "older"))
    assert image.failure_of(at(State.TRIAL), other) == ""
    assert image.failure_of(at(State.TRIAL), Account(failed=Failed("3.0.0", 3, ""))) == "it failed its trial"


def test_a_boot_loader_that_goes_back_from_a_proven_system_is_told() -> None:
    assert "went back to the system in slot A" in image.relapse(at(State.COMPLETED), OLD)
    assert image.relapse(at(State.COMPLETED), NEW) == ""
    assert image.relapse(at(State.COMPLETED), Boot("", "boot-1")) == ""
    assert image.relapse(at(State.FAILED), OLD) == ""
    assert image.relapse(at(State.COMPLETED, payload_type=PayloadType.APP), OLD) == ""


def test_each_system_has_its_own_good_app() -> None:
    record = at(State.READY, app_slot="a")
    account = Account(good=BASE)
    assert image.app_slot_of(record, account, OLD) == "a"
    assert image.app_slot_of(record, account, NEW) == BASE
    assert image.app_slot_of(at(State.READY), Account(good="b"), OLD) == "b"


def test_the_app_of_the_old_system_is_noted_once() -> None:
    record = after(at(State.READY), Event.RESTART, app_slot="a", boot_id="boot-1", fresh_sensors=3)
    record = after(record, Event.RESTART, app_slot=BASE, boot_id="boot-2", fresh_sensors=0)
    assert (record.app_slot, record.boot_id, record.restarts, record.fresh_sensors) == ("a", "boot-2", 2, 3)
    assert after(record, Event.STARTED, app_slot="b").app_slot == "a"
    assert after(at(State.READY), Event.STARTED, app_slot="b").app_slot == "b"
    handed = after(after(at(State.APPLYING), Event.HANDED, boot_slot="A"), Event.HANDED, boot_slot="A")
    assert (handed.handed, handed.boot_slot) == (2, "A")


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (
            "Installation error: Compatible mismatch: Expected 'climahub-pi4' but bundle manifest has 'kettle'",
            "the image is for 'kettle', and this machine is a 'climahub-pi4'",
        ),
        ("signature verification failed: Verify error: self-signed certificate", "does not trust who signed the image"),
        ("Failed updating slot rootfs.1: failed to write: No space left on device", "does not fit"),
        ("Bundle format 'plain' not allowed", "does not admit the format"),
        ("something new", "RAUC could not install the image. RAUC says: something new"),
        ("", "RAUC says: nothing"),
    ],
)
def test_raucs_words_in_plain_ones(said: str, means: str) -> None:
    words = image.in_plain_words(said)
    assert means in words
    assert said in words


def test_a_long_story_is_cut() -> None:
    assert len(image.in_plain_words("x" * 5000)) < 500
