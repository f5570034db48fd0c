"""`climahub zigbee`: what a technician sees while a sensor is paired, and how it ends."""

import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from agent.cli import exit_codes, hub_client, root
from agent.cli.hub_client import ZigbeeClient
from agent.cli.zigbee import network, pairing
from agent.cli.zigbee.network import status_text, table
from agent.cli.zigbee.pairing import _by_label
from agent.cli.zigbee.pairing_progress import (
    FIRST_READING_S_MAX,
    INTERVIEW_S_MAX,
    STEP_TEXTS,
    PairingProgress,
    PairingResult,
    step_text,
)
from agent.local.zigbee import (
    MemberReport,
    PairedSensor,
    RadioReport,
    ReadingReport,
    RouterReport,
    StepReport,
    ZigbeeReport,
)
from agent.pairing.lifecycle import PairingStage, PairingStepKind

ONE, TWO = "0x00158d0000000001", "0x00158d0000000002"


def sensor(device: str = ONE, **changes: Any) -> PairedSensor:  # noqa: ANN401
    plain = PairedSensor(
        device=device, name="attic", stage="relaying", problem="", sensor_id="id", about="maker model",
        is_online=True, is_sleepy=True, last_seen_age_s=5, lqi_last_hop=180,
        readings=[ReadingReport("temperature", 20.53, "°C", 12.0), ReadingReport("humidity", None, "%", None)],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def report(*told: tuple[str, str], left_s: int | None = None, sensors: tuple[PairedSensor, ...] = ()) -> ZigbeeReport:
    steps = [StepReport(number, 0.0, what, device, "") for number, (what, device) in enumerate(told, 1)]
    return ZigbeeReport(
        RadioReport("up", port="/dev/x", channel=15, pan_id=7, join_window_left_s=left_s), [*sensors], steps, ""
    )


def watch(*, is_many: bool = False, before: ZigbeeReport | None = None) -> PairingProgress:
    return PairingProgress(before or report(), is_many=is_many, now_s=0.0)


WAY = (
    ("window_open", ""),
    ("joined", ONE),
    ("interviewed", ONE),
    ("keyed", ONE),
    ("registered", ONE),
    ("relaying", ONE),
)


def test_every_pairing_step_has_a_text() -> None:
    assert set(STEP_TEXTS) == {what.value for what in PairingStepKind}


def test_a_pairing_is_followed_to_the_first_reading() -> None:
    following = watch()
    for number in range(1, len(WAY) + 1):
        now = report(*WAY[:number], left_s=9)
        (step,) = following.advance(now, 1.0)
        assert (step.what, step.device) == WAY[number - 1]
        assert following.end(now, 1.0) is None
    assert following.device == ONE
    done = report(*WAY, ("accepted", ONE))
    following.advance(done, 2.0)
    assert following.end(done, 2.0) is PairingResult.DONE


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ((("joined", ONE), ("interviewed", ONE), ("waits", ONE)), PairingResult.NEEDS_KEY),
        ((("joined", ONE), ("keyed", ONE), ("refused", ONE)), PairingResult.REFUSED),
        ((("joined", ONE), ("refused", ONE), ("keyed", ONE)), None),
        ((("joined", ONE), ("waits", ONE), ("keyed", ONE)), None),
        ((("joined", TWO), ("joined", ONE), ("waits", TWO)), PairingResult.NEEDS_KEY),
    ],
)
def test_step_that_needs_a_person_ends_the_progress(
    told: tuple[tuple[str, str], ...], end: PairingResult | None
) -> None:
    following = watch()
    now = report(*told, left_s=100)
    following.advance(now, 0.0)
    assert following.end(now, 0.0) is end


@pytest.mark.parametrize(
    ("told", "patience_s", "end"),
    [
        ((("window_open", ""),), 0.0, PairingResult.NOBODY),
        ((("joined", ONE),), INTERVIEW_S_MAX, PairingResult.UNFINISHED),
        ((("joined", ONE), ("relaying", ONE)), FIRST_READING_S_MAX, PairingResult.RELAYING),
    ],
)
def test_closed_join_window_ends_the_progress_after_a_delay(
    told: tuple[tuple[str, str], ...], patience_s: float, end: PairingResult
) -> None:
    following = watch()
    following.advance(report(*told, left_s=1), 10.0)
    closed = report(*told)
    following.advance(closed, 10.0)
    if patience_s:
        assert following.end(closed, 10.0 + patience_s - 1) is None
    assert following.end(closed, 10.0 + patience_s) is end


def test_progress_does_not_end_before_the_window_is_open() -> None:
    following = watch()
    following.advance(report(), 500.0)
    assert following.end(report(), 500.0) is None


def test_rejoining_sensor_is_not_the_one_being_paired() -> None:
    following = watch(before=report(sensors=(sensor(TWO),)))
    following.advance(report(("joined", TWO), ("joined", ONE), left_s=5), 0.0)
    assert following.device == ONE


def test_router_is_not_the_sensor_being_paired() -> None:
    plug = RouterReport(TWO, "maker plug", is_online=True, lqi_last_hop=90)
    told = [("joined", TWO)]
    following = watch()
    following.advance(report(*told, left_s=9), 0.0)
    assert following.device == TWO
    told += [("interviewed", TWO)]
    following.advance(msgspec.structs.replace(report(*told, left_s=8), routers=[plug]), 1.0)
    assert following.device == ""
    closed = msgspec.structs.replace(report(*told), routers=[plug])
    following.advance(closed, 9.0)
    assert following.end(closed, 9.0) is PairingResult.ROUTER
    told += [("joined", ONE)]
    following.advance(msgspec.structs.replace(report(*told, left_s=5), routers=[plug]), 10.0)
    assert following.device == ONE


def test_paired_router_is_reported_with_its_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug = RouterReport(TWO, "maker plug", is_online=True, lqi_last_hop=90)
    joined = report(("window_open", ""), ("joined", TWO))
    PlayedHub(monkeypatch, report(), msgspec.structs.replace(joined, routers=[plug]))
    assert root.run(["zigbee", "pair"]) == exit_codes.OK
    assert f"--through {TWO}" in capsys.readouterr().out


def test_pairing_of_many_ends_with_the_window() -> None:
    following = watch(is_many=True)
    now = report(("joined", ONE), ("joined", TWO), left_s=5, sensors=(sensor(ONE, stage="joined"), sensor(TWO)))
    following.advance(now, 0.0)
    assert following.end(now, 0.0) is None
    closed = msgspec.structs.replace(now, radio=RadioReport("up"))
    assert following.end(closed, 1.0) is None
    assert following.end(closed, INTERVIEW_S_MAX) is PairingResult.DONE
    nobody = watch(is_many=True)
    nobody.advance(report(left_s=5), 0.0)
    assert nobody.end(report(), 1.0) is PairingResult.NOBODY


def test_pairing_step_as_text() -> None:
    assert step_text(StepReport(1, 0.0, "joined", ONE, "again"), {ONE: "attic"}) == "attic: joined (again)"
    assert step_text(StepReport(1, 0.0, "window_open", "", ""), {}) == "the join window is open"


# What is shown.


def test_list_of_sensors() -> None:
    waiting = sensor(TWO, name=TWO, stage="interviewed", problem="waits", lqi_last_hop=None, readings=[])
    paired = report(sensors=(sensor(), waiting, sensor(stage="relaying", is_online=False)))
    plug = RouterReport("0x00158d0000000009", "maker plug", is_online=True, lqi_last_hop=90)
    head, first, second, third, router = table(msgspec.structs.replace(paired, routers=[plug]))
    assert head.split() == ["NAME", "ADDRESS", "STATE", "LQI", "LAST", "VALUES"]
    assert first == "attic               0x00158d0000000001  relaying           180  temperature 20.5 °C, 12 s ago"
    assert "waits for its key" in second
    assert "offline" in third
    assert router.split() == ["maker", "plug", plug.device, "router", "90"]
    assert table(report()) == ["no sensor yet; to add one: climahub zigbee pair"]
    for stage in PairingStage:
        assert table(report(sensors=(sensor(stage=stage.value),)))


def test_status_of_the_radio() -> None:
    found = report(left_s=75, sensors=(sensor(), sensor(TWO, stage="keyed", problem="the key is wrong")))
    text = status_text(found)
    for expected in ("up on /dev/x", "channel 15, PAN 0x0007", "open for 1 min 15 s", "2, 1 of them relaying",
                     "1 PROBLEM", "attic: the key is wrong"):  # fmt: skip
        assert expected in text
    nothing = ZigbeeReport(RadioReport("none", "this hub has no radio"), [], [], "")
    assert "PROBLEM" not in status_text(nothing)


# The commands, on a hub that is played.


class PlayedHub:
    """Answers with one report after another, and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *reports: ZigbeeReport) -> None:
        self.reports = [*reports]
        self.asked: list[tuple[str, Any]] = []
        self.refusals: list[Exception] = []
        monkeypatch.setattr(ZigbeeClient, "report", lambda _: self.report())
        monkeypatch.setattr(ZigbeeClient, "post", lambda _, what, asked=None: self.post(what, asked))
        monkeypatch.setattr(ZigbeeClient, "get", lambda _, what="/v1/zigbee": b'{"of": "the hub"}')
        monkeypatch.setattr(pairing, "LOOK_S", 0.0)

    def report(self) -> ZigbeeReport:
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]

    def post(self, what: str, asked: Any) -> None:  # noqa: ANN401
        self.asked.append((what, asked))
        if self.refusals:
            raise self.refusals.pop(0)


def test_pairing_one_sensor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk_sensor_attic\n")
    on_the_way = [report(*WAY[:number], left_s=9) for number in range(1, 7)]
    hub = PlayedHub(monkeypatch, report(), *on_the_way, report(*WAY, ("accepted", ONE)))
    code = root.run(["zigbee", "pair", "--name", "attic", "--key-file", str(key_file), "--seconds", "60"])
    assert code == exit_codes.OK
    asked = {"seconds": 60, "is_many": False, "through": "", "label": "", "name": "attic", "key": "sk_sensor_attic"}
    assert hub.asked == [("join-window", asked)]
    out = capsys.readouterr().out
    assert "sk_sensor" not in out
    assert [text for text in out.splitlines() if text.endswith("paired")]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((("window_open", ""),), "is it reset?"),
        ((("window_open", ""), ("joined", ONE), ("waits", ONE)), "climahub zigbee key 0x00158d0000000001"),
        ((("window_open", ""), ("joined", ONE), ("refused", ONE)), "the key is wrong"),
    ],
)
def test_a_pairing_that_did_not_succeed_says_what_to_do(
    told: tuple[tuple[str, str], ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    PlayedHub(monkeypatch, report(), report(*told, sensors=(sensor(problem="the key is wrong"),)))
    assert root.run(["zigbee", "pair"]) == exit_codes.FAILED
    assert expected in capsys.readouterr().err


def test_refusal_shows_the_hubs_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hub = PlayedHub(monkeypatch, report())
    hub.refusals = [hub_client.RequestRefused("this is a Matter code")]
    assert root.run(["zigbee", "pair", "--label", "MT:X"]) == exit_codes.FAILED
    assert capsys.readouterr().err == "climahub: this is a Matter code\n"


def test_ctrl_c_closes_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = PlayedHub(monkeypatch, report(left_s=9))

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    assert root.run(["zigbee", "pair", "--many"]) == exit_codes.INTERRUPTED
    assert [what for what, _ in hub.asked] == ["join-window", "join-window/close"]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["rename", ONE, "attic north"], (f"sensors/{ONE}/name", {"name": "attic north"})),
        (["remove", "attic north", "--yes"], ("sensors/attic%20north/remove", None)),
        (["replace", "attic", "--with", TWO], ("sensors/attic/replace", {"new": TWO})),
        (
            ["replace", "attic", "--no-wait", "--seconds", "5"],
            ("join-window", {"seconds": 5, "through": "", "label": "", "replaces": "attic"}),
        ),
    ],
)
def test_commands_that_change_sensors(
    words: list[str], asked: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = PlayedHub(monkeypatch, report())
    assert root.run(["zigbee", *words]) == exit_codes.OK
    assert hub.asked == [asked]


def test_key_is_prompted_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = PlayedHub(monkeypatch, report(), report(("joined", ONE), ("waits", ONE), left_s=5),
                    report(("joined", ONE), ("waits", ONE), ("keyed", ONE), ("accepted", ONE)))  # fmt: skip
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    answers = iter(["cellar", "sk_sensor_cellar"])
    monkeypatch.setattr(click, "prompt", lambda *_, **__: next(answers))
    assert root.run(["zigbee", "pair"]) == exit_codes.OK
    assert hub.asked[1:] == [
        (f"sensors/{ONE}/name", {"name": "cellar"}),
        (f"sensors/{ONE}/key", {"key": "sk_sensor_cellar"}),
    ]


def test_a_backup_is_a_secret_and_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = PlayedHub(monkeypatch, report())
    file = tmp_path / "network.json"
    assert root.run(["zigbee", "backup", str(file)]) == exit_codes.OK
    assert file.stat().st_mode & 0o777 == 0o600
    assert root.run(["zigbee", "backup", str(file)]) == exit_codes.CANNOT_CREATE
    file.chmod(0o644)
    assert root.run(["zigbee", "backup", str(file), "--overwrite"]) == exit_codes.OK
    assert file.stat().st_mode & 0o777 == 0o600
    assert root.run(["zigbee", "restore", str(file), "--yes"]) == exit_codes.OK
    assert hub.asked == [("restore", b'{"of": "the hub"}')]
    monkeypatch.setattr(network, "BACKUP_BYTES_MAX", 3)
    assert root.run(["zigbee", "restore", str(file), "--yes"]) == exit_codes.FAILED
    assert root.run(["zigbee", "restore", str(tmp_path / "none"), "--yes"]) == exit_codes.CANNOT_CREATE
    assert "so it is not a backup" in capsys.readouterr().err


def test_commands_without_a_running_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is asked a question before that is known."""
    (tmp_path / "network.json").write_text("{}")
    restore = ["restore", str(tmp_path / "network.json")]
    for words in (["status"], ["list"], ["pair"], ["remove", "x"], ["backup", str(tmp_path / "b")], restore):
        assert root.run(["zigbee", *words, "--socket", str(tmp_path / "none")]) == exit_codes.NO_DAEMON
        assert "the hub does not run here" in capsys.readouterr().err


def test_device_without_measurements_is_listed_and_ends_the_pairing() -> None:
    guest = MemberReport(ONE, "_TZE200_x TS0601", True, None, 90, ["not in the table"])
    mute = MemberReport(TWO, "", False, None, None)
    shown = table(msgspec.structs.replace(report(), others=[guest, mute]))
    assert shown[1].split() == ["_TZE200_x", "TS0601", ONE, "measures", "nothing", "for", "the", "hub", "90"]
    assert shown[2].split() == ["-", TWO, "not", "interviewed", "-"]
    assert shown[3:] == ["", "_TZE200_x TS0601: not in the table"]
    following = watch()
    now = msgspec.structs.replace(report(("joined", ONE), left_s=5), others=[guest])
    following.advance(now, 0.0)
    assert (following.device, following.end(now, 0.0)) == ("", None)
    assert following.end(msgspec.structs.replace(now, radio=RadioReport("up")), 1.0) is PairingResult.GUEST


def test_unused_label_is_named() -> None:
    following = watch()
    opened = report(("window_open", ONE), left_s=5)
    following.advance(opened, 0.0)
    closed = msgspec.structs.replace(opened, radio=RadioReport("up"))
    assert following.end(closed, 1.0) is PairingResult.NOBODY
    assert following.expected == ONE
    assert f"with the label of {ONE}" in _by_label(following)
    assert _by_label(watch()) == ""


def test_unused_values_of_a_sensor_are_listed_below() -> None:
    note = "temperature is taken from cluster 0x0402 of endpoint 1, not from cluster 0x0402 of endpoint 2"
    assert table(report(sensors=(sensor(notes=[note]),)))[-2:] == ["", f"attic: {note}"]
