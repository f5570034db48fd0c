"""What is said of a new hub until its first reading is accepted."""

import msgspec
import pytest

from agent.cli.setup.first_reading import Progress, progress
from agent.local.status import ClockStatus, HubStatus, LinkReport, OutboxReport, SensorReport, SettingsReport

NOTHING = dict.fromkeys(OutboxReport.__struct_fields__, 0) | {"problem": "", "last_refusal": "", "oldest_age_s": None}
SENSOR = SensorReport("", "a", "temperature", 20.0, "°C", "good", "", 0.0, 1, 0, 0, "")


def status(
    *, link: str = "up", knows_time: bool = True, sensors: tuple[SensorReport, ...] = (), **outbox: int
) -> HubStatus:
    return HubStatus(
        "0",
        "linux",
        ClockStatus(synchronised=knows_time, utc=None, boot_id="", uptime_s=0),
        LinkReport(link, f"why it is {link}", 0, 0, "off"),
        {},
        msgspec.convert(NOTHING | outbox, OutboxReport),
        list(sensors),
        [],
        SettingsReport({}, {}, []),
        [],
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (status(accepted=1, link="down"), Progress(is_accepted=True)),
        (status(link="key_refused"), Progress(text="why it is key_refused")),
        (status(link="down", pending=2), Progress(text="why it is down", can_hurry=True)),
        (status(in_memory=1), Progress(text="a reading is on its way", can_hurry=True)),
        (status(sensors=(SENSOR,)), Progress(text="the sensors are read")),
    ],
)
def test_progress(given: HubStatus, expected: Progress) -> None:
    assert progress(given) == expected


@pytest.mark.parametrize(
    ("given", "remedy"), [(status(knows_time=False, in_memory=3), "check the network"), (status(), "connect a sensor")]
)
def test_remedy_comes_first(given: HubStatus, remedy: str) -> None:
    assert progress(given).text.startswith(remedy)
