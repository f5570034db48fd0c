"""Requests and documents of hardware tests: outputs, the commissioning walk, live sensors, the radio's channels.

The JSON form is an interface: fields may be added, never renamed. Temperatures are in °C, energies from 0 to 255.
"""

from collections.abc import Mapping

import msgspec

from agent.foundation.phrase import Template
from hal.interface import HvacAction

RENEW_S = 5.0
"""How often a client renews the lease of its running test."""


class RelayTestRequest(msgspec.Struct):
    """Test one output.

    Attributes:
        action: "heat" or "cool".
        duration_s: For how long it is on, 5 to 600 s.
        override: The word "short-cycle" tests the output without the minimum times of its own relay.
    """

    action: HvacAction = HvacAction.HEAT
    duration_s: float = 60.0
    override: str = ""


class CommissioningRequest(msgspec.Struct):
    """Walk through the zones; without any name, through all of them."""

    zones: list[str] = []


class TestReference(msgspec.Struct):
    """Names the running test, with the lease that its beginning was answered with."""

    __test__ = False

    test_id: str
    lease: str = ""


IDENTIFY_S_MIN, IDENTIFY_S_MAX = 1.0, 120.0
"""Long enough to walk past all cellars of a house."""


class IdentifyRequest(msgspec.Struct, frozen=True):
    """Let the hub's LED blink.

    Attributes:
        duration_s: For how long, 1 to 120 s.
    """

    duration_s: float = 15.0


class IdentifyReport(msgspec.Struct, frozen=True):
    """The LED that blinks now, and for how long."""

    led: str
    duration_s: float


class OutputReport(msgspec.Struct, frozen=True):
    """The output of one zone now.

    Attributes:
        wait_s: How long its relay must still rest before it may start; 0 where it may, or is on.
    """

    output: str
    can_heat: bool
    can_cool: bool
    action: str
    reason: str
    wait_s: int


class RelayTestReport(msgspec.Struct, frozen=True):
    """The last test of an output.

    Attributes:
        test_id: Names it in renewals.
        phase: "waiting", "on", "ending" or "done".
        phase_s: For how long it has been in that phase.
        outcome: "running", "passed", "stopped", "session_lost", "not_started", "cut_short" or "failed".
        text: Why it waits, or why it ended.
        on_s: For how long it has been on.
    """

    test_id: str
    output: str
    action: str
    duration_s: float
    is_overridden: bool
    phase: str
    phase_s: int
    outcome: str
    text: str
    on_s: float


class RiseReport(msgspec.Struct, frozen=True):
    """How far a sensor is above its drift since the present zone was switched on."""

    sensor: str
    zone: str
    value_c: float
    rise_k: float


class TurnReport(msgspec.Struct, frozen=True):
    """What the turn of one zone has shown: see `agent.port.hardware.commissioning.ZoneFinding`.

    Attributes:
        verdict: "own", "other", "none", "unclear" or "skipped".
    """

    zone: str
    verdict: str
    answered_by: str
    sensor: str
    rise_k: float
    margin_k: float
    certainty: float
    heated_s: float
    text: str = ""


class CommissioningReport(msgspec.Struct, frozen=True):
    """A commissioning walk, also after its end.

    Attributes:
        test_id: Names it in renewals.
        began: In UTC, where the time was known.
        phase: "settling", "heating" or "done".
        zone: Whose turn it is; empty at the end.
        phase_s: For how long the walk has been in that phase.
        zones: All zones in their order.
        text: Why it waits or has ended early.
        turns: What was found so far.
        sentences: What that means, problems first.
        rises: Of the sensors in the present turn.
        phrases: How the sentences were made, for translations.
    """

    test_id: str = ""
    began: str | None = None
    phase: str = "done"
    zone: str = ""
    phase_s: int = 0
    zones: tuple[str, ...] = ()
    text: str = ""
    turns: tuple[TurnReport, ...] = ()
    sentences: tuple[str, ...] = ()
    rises: tuple[RiseReport, ...] = ()
    phrases: Mapping[str, Template] = {}


class TestsReport(msgspec.Struct, frozen=True):
    """What can be tested, and what is being tested.

    Attributes:
        outputs: Of the zones.
        test: The last test of an output since the start; `None` without one.
        commissioning: The last walk; `None` without one.
        renew_s: How often a client renews a running test.
        can_scan: The radio can measure the energy of its channels.
        can_identify: The hub has a LED that blinks on request.
        lease: Only in the answer to whoever begins a test: their renewals name it.
    """

    __test__ = False

    outputs: list[OutputReport] = []
    test: RelayTestReport | None = None
    commissioning: CommissioningReport | None = None
    renew_s: float = RENEW_S
    can_scan: bool = False
    can_identify: bool = False
    lease: str = ""


class LiveSensorReport(msgspec.Struct, frozen=True):
    """One sensor now.

    Attributes:
        age_s: 0 for a sensor of the hub's own, which is read for this answer.
        problem: Why there is no value.
        measured: As in the status.
        uncertainty: As in the status.
        doubt: As in the status.
    """

    device: str
    sensor: str
    kind: str
    value: float | None
    unit: str
    age_s: float | None
    problem: str = ""
    measured: float | None = None
    uncertainty: float | None = None
    doubt: str = ""


class BoardChannelReport(msgspec.Struct, frozen=True):
    """One channel of the hub's own now; see `hal.channels.Channel`.

    Attributes:
        quantity: What it measures: a kind of the cloud's, or one that stays at the hub, such as "co2".
        age_s: 0 where it was read for this answer, more where its bus was not done in time.
        bus: Such as "i2c-1"; empty for the machine's own.
        driver: Who reads it: the kernel's driver, or "climahub".
        problem: Why there is no value.
        doubt: As in the status.
        uncertainty: As in the status.
        primary: Why its readings are the hub's own in the cloud; empty where they are not.
    """

    sensor: str
    quantity: str
    value: float | None
    unit: str
    age_s: float | None
    bus: str
    address: str
    chip: str
    driver: str
    problem: str = ""
    doubt: str = ""
    uncertainty: float | None = None
    primary: str = ""


class BinarySensorReport(msgspec.Struct, frozen=True):
    """What a contact or a motion sensor says.

    Attributes:
        kind: "contact" or "occupancy".
        is_active: Open, or occupied; `None` while it has told nothing.
        text: The same for people; "silent" where it does not count.
        age_s: Since it said that last; `None` while it has told nothing.
    """

    device: str
    kind: str
    is_active: bool | None
    text: str
    age_s: float | None


class LiveSensorsReport(msgspec.Struct, frozen=True):
    """The hub's own sensors, read now, and the last value of each relayed one.

    Attributes:
        channels: Everything that the board measures, where it finds that by itself; its sensors are in `sensors` too.
        binary: Contacts and motion sensors.
        thermometers: The temperatures that there are now, by the name under which `climate.zones` takes each: that of a
            sensor of the hub's own, or the device of a relayed one. Parts of the machine are not among them.
    """

    sensors: list[LiveSensorReport]
    channels: list[BoardChannelReport] = []
    binary: list[BinarySensorReport] = []
    thermometers: Mapping[str, float] = {}


class ChannelReport(msgspec.Struct, frozen=True):
    """The energy on one radio channel, 0 (quiet) to 255.

    Attributes:
        is_own: The hub's network uses it.
    """

    channel: int
    energy: int
    is_own: bool


class RadioScanReport(msgspec.Struct, frozen=True):
    """The energy on every channel, what it means, and how that sentence was made, for translations."""

    channels: list[ChannelReport]
    sentence: str
    phrases: Mapping[str, Template] = {}
