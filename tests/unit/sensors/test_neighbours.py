"""Sensors that answer for one another: found, and not where rooms merely meet."""

from collections.abc import Mapping, Sequence

import pytest

from agent.sensors.doubts import DOUBT_MS_MAX
from agent.sensors.neighbours import SAME_READINGS, NeighbourDetector

MINUTE_MS = 60_000


def last_reasons(detector: NeighbourDetector, series: Mapping[str, Sequence[float]], *, from_minute: int = 0,
                 gap_ms: int = MINUTE_MS) -> dict[str, list[str]]:  # fmt: skip
    found: dict[str, list[str]] = {name: [] for name in series}
    for index in range(len(next(iter(series.values())))):
        for offset, (name, values) in enumerate(series.items()):
            at_ms = from_minute * MINUTE_MS + index * gap_ms + offset * 750
            found[name].append(detector.observe(name, values[index], at_ms))
    return found


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("drift_k", [0.0, 0.9], ids=["steady", "warms up"])
def test_the_neighbours_value_is_found_when_three_more_have_agreed(order: str, drift_k: float) -> None:
    a = [21.0, 21.06, 21.0, *(8.0 + drift_k * index for index in range(3, 8))]
    b = [8.0 + drift_k * index for index in range(8)]
    series = {"a": a, "b": b}
    found = last_reasons(NeighbourDetector(), {name: series[name] for name in order})
    assert [bool(reason) for reason in found["a"]] == [False] * (3 + SAME_READINGS) + [True] * 2
    assert "same values as b" in found["a"][-1]
    assert not any(found["b"])


def test_a_doubt_ends_when_the_values_part() -> None:
    a = [21.0, 21.0, 8.0, 8.0, 8.0, 8.0, 8.6, 8.6]
    found = last_reasons(NeighbourDetector(), {"a": a, "b": [8.0] * 8})
    assert found["a"][5]
    assert not any(found["a"][7:])


def test_a_doubt_ends_by_itself() -> None:
    minutes = DOUBT_MS_MAX // MINUTE_MS + 10
    found = last_reasons(NeighbourDetector(), {"a": [21.0, 21.0] + [8.0] * minutes, "b": [8.0] * (minutes + 2)})
    assert found["a"][minutes // 2]
    assert not found["a"][-1]


def test_two_exchanged_sensors_are_both_doubted_until_they_are_back() -> None:
    a = [21.0, 21.0, 8.4, 8.4, 8.4, 21.0, 21.0, 21.0]
    b = [8.0, 8.4, 21.0, 21.0, 21.0, 8.4, 8.4, 8.4]
    found = last_reasons(NeighbourDetector(), {"a": a, "b": b})
    assert "it and b exchanged" in found["b"][2].replace("it and a", "it and b")
    assert "exchanged their values" in found["a"][3]
    assert found["a"][4]
    assert not any(found["a"][6:] + found["b"][5:])


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([27.25, 27.25, 44.69, 50.94], [27.5, 36.25, 27.19, 27.19]),
        ([27.25, 27.25, 38.0, 44.0], [30.0, 30.0, 27.25, 27.19]),
        ([31.94, 31.94, 26.12, 26.06], [26.06, 26.06, 31.5, 31.38]),
    ],
    ids=["a pipe that warms up steeply", "a pipe that begins to warm up", "a room in the sun"],
)
def test_two_exchanged_sensors_are_found_although_one_of_them_moves(order: str, a: list[float], b: list[float]) -> None:
    series = {"a": a, "b": b}
    found = last_reasons(NeighbourDetector(), {name: series[name] for name in order})
    assert all("exchanged their values" in found[name][3] for name in "ab")


def test_exchanged_sensors_are_believed_after_a_time() -> None:
    minutes = DOUBT_MS_MAX // MINUTE_MS + 10
    series = {"a": [21.0, 21.0] + [8.0] * minutes, "b": [8.0, 8.0] + [21.0] * minutes}
    found = last_reasons(NeighbourDetector(), series)
    assert found["a"][minutes // 2]
    assert not found["a"][-1]
    assert not found["b"][-1]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([21.0, 20.0, 19.2, 18.5, 18.0, 17.6], [18.0] * 6),
        ([30.0, 40.0, 50.0, 55.0, 58.0, 60.0], [50.0] * 6),
        ([21.0, 21.3, 21.3, 21.3, 21.3, 21.3], [21.3] * 6),
        ([21.0, 8.0, 21.0, 8.0, 21.0, 21.0], [8.0] * 6),
        ([21.0, 15.0, 15.0, 15.0, 15.0, 15.0], [8.0, 8.0, 9.5, 9.5, 9.5, 9.5]),
        ([21.0, 8.0, 6.0, 5.0, 5.0, 5.0], [8.0, 14.0, 17.0, 19.0, 20.0, 20.0]),
        ([21.0, 8.0, 6.0, 5.0, 5.0, 5.0], [8.0, 5.0, 4.0, 4.0, 4.0, 4.0]),
        ([40.0, 31.0, 24.0, 20.0, 18.0, 18.0], [24.0, 24.0, 33.0, 38.0, 40.0, 40.0]),
    ],
    ids=[
        "approaches",
        "passes",
        "near before",
        "a glitch",
        "jumps elsewhere",
        "into the cold while a pipe begins to warm up",
        "into the cold while the other falls too",
        "one cools steeply as the other begins to warm up",
    ],
)
def test_sensors_that_meet_are_believed(a: list[float], b: list[float]) -> None:
    found = last_reasons(NeighbourDetector(), {"a": a, "b": b})
    assert not any(found["a"] + found["b"])


def test_reports_far_apart_show_nothing() -> None:
    found = last_reasons(NeighbourDetector(), {"a": [21.0, 8.0, 8.0, 8.0, 8.0], "b": [8.0] * 5}, gap_ms=300_000)
    assert not any(found["a"])


def test_a_sensor_that_is_gone_is_forgotten() -> None:
    detector = NeighbourDetector()
    last_reasons(detector, {"a": [21.0, 21.0], "b": [8.0, 8.0]})
    detector.forget("b")
    assert not any(detector.observe("a", 8.0, (2 + index) * MINUTE_MS) for index in range(5))


def test_a_candidate_that_moves_on_to_a_third_is_followed() -> None:
    series = {"a": [21.0, 21.0, 8.0, 12.0, 12.0, 12.0, 12.0], "b": [8.0] * 7, "c": [12.0] * 7}
    assert "same values as c" in last_reasons(NeighbourDetector(), series)["a"][-1]
