"""A client that follows the rules of the published Aqara skill, step by step; shares no code with the agent.

Cache first; refresh when the file is missing or cannot be read, or once on code 2030; identifiers only from the cache;
filter locally; four keys; judge the HTTP status, then the code; after control, read back.
"""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.integration.conftest import WAIT_S

ALLOWED = {
    "GetAllDevicesWithSpaceRequest",
    "GetDeviceTypeInfosRequest",
    "ExecuteTraitRequest",
    "GetSpacesRequest",
    "CreateSpaceRequest",
    "UpdateSpaceRequest",
    "AssociateDevicesToSpaceRequest",
}


class SkillError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class SkillClient:
    def __init__(self, url: str, token: str, cache: Path) -> None:
        self.url, self.token, self.cache = url, token, cache
        self.refreshes = 0

    def call(self, kind: str, data: object = None) -> Any:  # noqa: ANN401
        assert kind in ALLOWED
        message: dict[str, Any] = {"type": kind, "version": "v1", "msgId": f"msg-{time.time_ns()}"}
        if data is not None:
            message["data"] = data
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url, json.dumps(message).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            raise SkillError(error.code, "HTTP") from error
        assert answer["msgId"] == message["msgId"]
        assert set(answer) == {"type", "version", "msgId", "code", "message", "data"}
        if answer["code"] != 0:
            raise SkillError(answer["code"], answer["message"])
        assert answer["type"] == kind.replace("Request", "Response")
        return answer["data"]

    def refresh(self) -> list[dict[str, Any]]:
        self.refreshes += 1
        devices = self.call("GetAllDevicesWithSpaceRequest")
        assert isinstance(devices, list)
        temporary = self.cache.with_suffix(".tmp")
        temporary.write_text(json.dumps(devices))
        temporary.replace(self.cache)
        return devices

    def devices(self, **wanted: str) -> list[dict[str, Any]]:
        try:
            devices = json.loads(self.cache.read_text())
        except (OSError, ValueError):
            devices = self.refresh()
        room, kind = wanted.get("room", "").lower(), wanted.get("type", "").lower()
        return [
            device
            for device in devices
            if (not room or (device["space"] or {}).get("name", "").lower() == room)
            and (not kind or kind in [each.lower() for each in device["deviceTypesList"]])
        ]

    def trait(self, name: str, code: str) -> dict[str, Any]:
        """Return the trait of a device with the address for a command, from the cache."""
        (device,) = [each for each in self.devices() if each["name"] == name]
        (found,) = [
            {**trait, "deviceId": device["deviceId"], "endpointId": endpoint["endpointId"], **function}
            for endpoint in device["endpoints"]
            for function in endpoint.get("functions", [])
            for trait in function["traits"]
            if trait["traitCode"] == code
        ]
        return found

    def set(self, name: str, code: str, value: object) -> list[dict[str, Any]]:
        """Set a trait, and return the failures; read it back where there is none."""
        for attempt in (1, 2):
            found = self.trait(name, code)
            address = {key: found[key] for key in ("deviceId", "endpointId", "functionCode", "traitCode")}
            try:
                failures = self.call("ExecuteTraitRequest", [{**address, "value": value}])
                break
            except SkillError as error:
                if error.code != 2030 or attempt == 2:
                    raise
                self.refresh()
        if not failures:
            self.refresh()
            assert self.trait(name, code)["value"] == value
        return [each for each in failures if each.get("deviceId")]
