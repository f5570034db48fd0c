"""Counting the requests of a fleet, and drawing them."""

import xml.etree.ElementTree as ET

from lab.refcloud.contract import Endpoint
from lab.simulation.request_curve import Peak, RequestCurve


def curve() -> RequestCurve:
    made = RequestCurve()
    for second in range(180):
        made.count(Endpoint.COMMANDS_PENDING, second + 0.5)
    for _ in range(60):
        made.count(Endpoint.TELEMETRY, 100.25)
    return made


def test_peaks_and_means() -> None:
    made = curve()
    assert made.total == 240
    assert made.mean(0, 60) == 1.0
    assert made.mean(60, 120) == 2.0
    assert made.peak(0, 180) == Peak(second=61.0, minute=2.0)
    assert made.peak(120, 180) == Peak(second=1.0, minute=1.0)


def test_a_time_without_requests_has_no_peak() -> None:
    made = RequestCurve()
    assert made.mean(0, 0) == 0.0
    assert made.peak(0, 600) == Peak(0.0, 0.0)
    assert made.minutes() == {}
    assert ET.fromstring(made.svg("nothing")) is not None


def test_minutes_by_endpoint_leave_out_what_was_never_asked() -> None:
    assert curve().minutes() == {"commands_pending": [60, 60, 60], "telemetry": [0, 60, 0]}


def test_drawing_has_an_area_for_each_endpoint_and_the_busiest_first() -> None:
    root = ET.fromstring(curve().svg("a power cut"))
    names = [each.text for each in root if each.tag.endswith("text")]
    assert names[:3] == ["a power cut", "commands_pending", "telemetry"]
    assert sum(each.tag.endswith("polygon") for each in root) == 2
    assert "2/s" in names


def test_endpoints_beyond_the_colours_are_drawn_together() -> None:
    made = RequestCurve()
    for endpoint in Endpoint:
        made.count(endpoint, 1.0)
    root = ET.fromstring(made.svg("all"))
    assert sum(each.tag.endswith("polygon") for each in root) == 6
    assert "others" in [each.text for each in root]
