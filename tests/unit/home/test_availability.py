"""Devices come and go; a start of the agent is not one of them going."""

from agent.home.availability import START_S, Availability

START_MS = round(START_S * 1000)


def test_a_start_is_silent() -> None:
    devices = Availability({"a": False, "b": False}, 0)
    assert devices.advance({"a": False, "b": False}, 1000) == []
    assert devices.advance({"a": True, "b": False}, START_MS - 1) == []
    assert devices.advance({"a": True, "b": True}, START_MS) == []


def test_a_device_that_never_reports_after_a_start_is_told_once() -> None:
    devices = Availability({"a": False}, 500)
    assert devices.advance({"a": False}, START_MS + 499) == []
    assert devices.advance({"a": False}, START_MS + 500) == [("a", True, False)]
    assert devices.advance({"a": False}, START_MS + 900) == []
    assert devices.advance({"a": True}, START_MS + 901) == [("a", False, True)]


def test_a_device_that_has_reported_may_go_at_any_time() -> None:
    devices = Availability({"a": True}, 0)
    assert devices.advance({"a": True}, 10) == []
    assert devices.advance({"a": False}, 20) == [("a", True, False)]
    assert devices.advance({"a": True}, 30) == [("a", False, True)]


def test_new_and_gone() -> None:
    devices = Availability({"a": True}, 0)
    assert devices.advance({"a": True, "b": False}, 10) == [("b", None, False)]
    assert devices.advance({"a": True, "b": True}, 20) == [("b", False, True)]
    assert devices.advance({"a": True}, 30) == [("b", True, None)]
    assert devices.advance({"a": True, "b": True}, 40) == [("b", None, True)]
