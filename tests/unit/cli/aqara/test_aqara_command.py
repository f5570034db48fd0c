"""`climahub aqara`: the cache comes first, identifiers come from it, and what was set is read back."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import exit_codes, root
from agent.cli.aqara.commands import TOKEN_VARIABLE, URL_VARIABLE, is_in_the_clear
from tests.unit.cli.aqara.endpoint_server import EndpointServer, failure, running, success

TOKEN = "secret-token"


class Home:
    """A home with one thermostat behind the endpoint."""

    def __init__(self) -> None:
        self.device_id = "lumi.1"
        self.heating: Any = 20.0
        self.sets_values = True

    @property
    def devices(self) -> list[dict[str, Any]]:
        parameter = {"type": "Float", "readable": True, "writable": True, "unit": "℃"}
        traits = [{"traitCode": "HeatingTemperature", "value": self.heating, "parameter": parameter}]
        functions = [{"functionCode": "HeaterCooler", "traits": traits}]
        return [
            {
                "deviceId": self.device_id,
                "name": "Valve",
                "deviceTypesList": ["Thermostat"],
                "state": True,
                "space": {"spaceId": "s", "name": "Bedroom"},
                "endpoints": [{"endpointId": 2, "functions": functions}],
            }
        ]

    def respond(self, message: dict[str, Any]) -> tuple[int, Any]:
        if message["type"] == "GetAllDevicesWithSpaceRequest":
            return 200, success(message, self.devices)
        if message["type"] == "GetSpacesRequest":
            child = {"spaceId": "s", "name": "Bedroom", "spatialMarking": "bedroom", "children": None}
            tree = [{"spaceId": "h", "name": "House", "spatialMarking": None, "children": [child]}]
            return 200, success(message, tree)
        (item,) = message["data"]
        if item["deviceId"] != self.device_id:
            return 200, failure(message, 2030, [{**item, "code": 2030, "message": "device not found"}])
        if self.sets_values:
            self.heating = item["value"]
        return 200, success(message, [{}])


@pytest.fixture
def home() -> Home:
    return Home()


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EndpointServer]:
    with running() as started:
        started.respond = home.respond
        monkeypatch.setenv(URL_VARIABLE, started.url)
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        yield started


def cache_file(directory: Path) -> Path:
    (found,) = directory.rglob("devices.json")
    return found


def test_first_command_fetches_the_list_and_later_ones_read_it(
    server: EndpointServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(["aqara", "devices"]) == exit_codes.OK
    assert root.run(["aqara", "devices", "--room", "bedroom"]) == exit_codes.OK
    assert server.types == ["GetAllDevicesWithSpaceRequest"]
    assert server.tokens == [f"Bearer {TOKEN}"]
    assert capsys.readouterr().out.count("HeaterCooler.HeatingTemperature = 20.0 ℃") == 2
    assert isinstance(json.loads(cache_file(tmp_path).read_text()), list)
    assert stat.S_IMODE(cache_file(tmp_path).stat().st_mode) == 0o600


def test_every_message_has_the_four_keys_and_an_id_of_its_own(server: EndpointServer) -> None:
    root.run(["aqara", "devices"])
    root.run(["aqara", "set", "Valve", "HeatingTemperature", "21"])
    assert all(set(message) == {"type", "version", "msgId", "data"} for message in server.messages)
    assert len({message["msgId"] for message in server.messages}) == len(server.messages)


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b'{"data": []}'])
def test_unreadable_cache_is_renewed(server: EndpointServer, tmp_path: Path, content: bytes) -> None:
    root.run(["aqara", "refresh"])
    cache_file(tmp_path).write_bytes(content)
    assert root.run(["aqara", "devices"]) == exit_codes.OK
    assert json.loads(cache_file(tmp_path).read_text())[0]["deviceId"] == "lumi.1"


def test_list_that_is_no_list_leaves_the_cache(server: EndpointServer, tmp_path: Path) -> None:
    root.run(["aqara", "refresh"])
    before = cache_file(tmp_path).read_bytes()
    server.respond = lambda message: (200, success(message, {"devices": []}))
    assert root.run(["aqara", "refresh"]) == exit_codes.UNAVAILABLE
    assert cache_file(tmp_path).read_bytes() == before
    assert not list(tmp_path.rglob("*.new"))


def test_value_is_set_and_read_back(server: EndpointServer, capsys: pytest.CaptureFixture[str]) -> None:
    root.run(["aqara", "refresh"])
    assert root.run(["aqara", "set", "valve", "heatingtemperature", "21.5"]) == exit_codes.OK
    assert capsys.readouterr().out.endswith("Valve: HeatingTemperature is 21.5 ℃\n")
    item = {
        "deviceId": "lumi.1",
        "endpointId": 2,
        "functionCode": "HeaterCooler",
        "traitCode": "HeatingTemperature",
        "value": 21.5,
    }
    assert server.messages[1]["data"] == [item]
    assert server.types[1:] == ["ExecuteTraitRequest", "GetAllDevicesWithSpaceRequest"]


def test_value_that_is_not_taken_is_reported(
    server: EndpointServer, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.sets_values = False
    assert root.run(["aqara", "set", "Valve", "HeatingTemperature", "21"]) == exit_codes.FAILED
    assert "look at the device: Valve took HeatingTemperature = 21, and shows 20.0" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["Lamp", "OnOff"], ["Valve", "OnOff"], ["lumi.9", "HeatingTemperature"]])
def test_what_is_not_in_the_cache_is_never_sent(
    server: EndpointServer, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root.run(["aqara", "refresh"])
    assert root.run(["aqara", "set", *words, "1"]) == exit_codes.FAILED
    assert server.types == ["GetAllDevicesWithSpaceRequest"]
    assert "climahub aqara refresh, then try again" in capsys.readouterr().err


def test_device_that_has_another_id_by_now_is_refreshed_once(server: EndpointServer, home: Home) -> None:
    root.run(["aqara", "refresh"])
    home.device_id = "lumi.2"
    assert root.run(["aqara", "set", "Valve", "HeatingTemperature", "22"]) == exit_codes.OK
    assert home.heating == 22
    assert server.types == [
        "GetAllDevicesWithSpaceRequest",
        "ExecuteTraitRequest",
        "GetAllDevicesWithSpaceRequest",
        "ExecuteTraitRequest",
        "GetAllDevicesWithSpaceRequest",
    ]


def test_device_that_stays_unknown_is_tried_twice_and_no_more(
    server: EndpointServer, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    def respond(message: dict[str, Any]) -> tuple[int, Any]:
        if message["type"] == "ExecuteTraitRequest":
            return 200, failure(message, 2030)
        return home.respond(message)

    server.respond = respond
    assert root.run(["aqara", "set", "Valve", "HeatingTemperature", "22"]) == exit_codes.FAILED
    assert server.types.count("ExecuteTraitRequest") == 2
    assert "code 2030" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (401, {"code": 401, "message": "no token"}, exit_codes.NO_PERMISSION),
        (200, {"code": 1001, "message": "expired"}, exit_codes.NO_PERMISSION),
        (200, {"code": 500, "message": "no"}, exit_codes.FAILED),
        (200, {"code": "0", "data": []}, exit_codes.FAILED),
        (502, b"<html>", exit_codes.UNAVAILABLE),
        (503, {"code": 0, "data": []}, exit_codes.UNAVAILABLE),
        (302, {"code": 0, "data": []}, exit_codes.UNAVAILABLE),
        (200, b"", exit_codes.UNAVAILABLE),
        (200, b"[" * 100_000, exit_codes.UNAVAILABLE),
    ],
)
def test_status_is_judged_before_the_code(
    server: EndpointServer, status: int, answer: object, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.respond = lambda message: (status, answer)
    assert root.run(["aqara", "refresh"]) == code
    told = capsys.readouterr()
    assert TOKEN not in told.out + told.err


def test_spaces_are_shown_as_a_tree(server: EndpointServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["aqara", "spaces"]) == exit_codes.OK
    assert capsys.readouterr().out.splitlines() == ["House  h", "  Bedroom  bedroom  s"]


def test_endpoint_that_is_not_there_is_explained(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:9/open/api")
    assert root.run(["aqara", "refresh"]) == exit_codes.UNAVAILABLE
    assert "no connection with 127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["", "ftp://x/", "https://user:word@host/open/api", "https://", "https://[", "https://hub:99999/x"]
)
def test_address_that_cannot_be_used_is_refused(server: EndpointServer, url: str) -> None:
    assert root.run(["aqara", "refresh", "--url", url]) == exit_codes.USAGE


@pytest.mark.parametrize(
    ("url", "is_clear"),
    [
        ("http://hub.local/open/api", True),
        ("https://hub.local/open/api", False),
        ("http://127.0.0.1:8480/aqara/open/api", False),
        ("http://[::1]:8480/aqara/open/api", False),
    ],
)
def test_token_in_the_clear_is_pointed_out(url: str, is_clear: bool) -> None:
    assert is_in_the_clear(url) is is_clear


def test_token_comes_from_a_file(server: EndpointServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    assert root.run(["aqara", "refresh"]) == exit_codes.USAGE
    (tmp_path / "token").write_text("other\n")
    assert root.run(["aqara", "refresh", "--token-file", str(tmp_path / "token")]) == exit_codes.OK
    assert server.tokens == ["Bearer other"]


def test_devices_say_how_old_the_list_is(
    server: EndpointServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root.run(["aqara", "refresh"])
    written_s = cache_file(tmp_path).stat().st_mtime - 7500
    os.utime(cache_file(tmp_path), (written_s, written_s))
    assert root.run(["aqara", "devices"]) == exit_codes.OK
    printed = capsys.readouterr()
    assert "the list is 2 h 5 min old" in printed.err
    assert "old" not in printed.out
