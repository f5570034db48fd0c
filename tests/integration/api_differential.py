"""Random requests through random APIs of one hub, and what each API shows after every one, against `api_model`.

The facts are one of the views: each change must be a fact, and what is a fact must be what the other APIs show.
"""

import contextlib
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from agent.apis.aurra_facts.face import AurraFactsFace
from agent.apis.catalog import APIS
from agent.home.fact_recorder import FactRecorder
from agent.local.routes import Role
from tests.integration import api_model as model
from tests.integration.api_model import Hold, Refused, Tally, Zone
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import until

CONFIG = """\
[climate]
heat_source = "heat_pump"
zones = [
  { id = "living", sensors = ["sim/temperature"] },
  { id = "bedroom", sensors = ["sim/temperature"] },
]
"""
ZONES = ("living", "bedroom")
SCHEDULED = "bedroom"
MODES = ("heat", "cool", "auto", "off")
AQARA_MODES = {"cool": "0", "heat": "1", "auto": "2", "off": "12"}
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SHOWN_K = 0.0051
"""The page shows setpoints to the second decimal."""
OUTPUT_READS_MAX = 3

FACTS_MAX = 100
"""Of one page: more than two zones and the hub have at one time."""
_FACT = re.compile(r"(?P<zone>living|bedroom): (?P<text>.*)")
_SETPOINTS = re.compile(r"setpoints: heat to (?P<heat>[\d.]+) °C, cool to (?P<cool>[\d.]+) °C\.")
_MODE = re.compile(r"the mode is (?P<mode>\w+)\.")
_ECO = re.compile(r"eco is (?P<eco>on|off)")
_HOLD = re.compile(r"(hold|away|boost): ")


class Difference(AssertionError):
    """An API shows something else than the model."""


class Driver:
    """One hub with all its APIs, and the model of its zones.

    Attributes:
        tally: What has been tried.
    """

    def __init__(
        self, rig: ApiRig, client: aiohttp.ClientSession, secrets: dict[str, str], recorder: FactRecorder, seed: int
    ) -> None:
        self._rig = rig
        self._recorder = recorder
        self._client = client
        self._secrets = secrets
        self._rng = random.Random(seed)
        self._numbers = 0
        self._was_refused = False
        self.zones = {name: Zone() for name in ZONES}
        self.tally = Tally()

    async def begin(self) -> None:
        """Have one zone follow a schedule of one block, and read where the zones begin."""
        block = {"label": "Always", "start": "00:00", "end": "00:00", "heat": 66, "cool": 80, "days": DAYS}
        body = {"name": "Always", "blocks": [block]}
        status, _ = await self._ask("aurra_home", "POST", f"/aurra-home/v1/thermostat/{SCHEDULED}/schedule", body)
        assert status == 201
        await self._recorder.write(is_look=True)
        for name, shown in (await self._page()).items():
            schedule = ((66 - 32) * 5 / 9, (80 - 32) * 5 / 9) if name == SCHEDULED else None
            own = self._rig.port.hub.climate.control.zones[name].program.setpoints  # type: ignore[union-attr] # it heats
            self.zones[name] = Zone(
                shown["mode"], own.heat_setpoint_c, own.cool_setpoint_c, eco=shown["is_eco"], schedule=schedule
            )

    async def _ask(self, api: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._secrets[api]}"}
        async with self._client.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def step(self) -> None:
        """Send one random request, and compare what every API shows then."""
        zone = self._rng.choice(ZONES)
        request = self._rng.choice(
            [
                self._aurra_setpoint,
                self._aurra_setpoint,
                self._aurra_eco,
                self._amps_push,
                self._amps_push,
                self._aqara_mode,
                self._aqara_setpoint,
                self._aqara_setpoint,
                self._page_set,
                self._page_hold,
                self._page_resume,
            ]
        )
        await request(zone)
        self.tally.add(request.__name__, refused=self._was_refused)
        await self._compare(request.__name__)

    def _half_degree(self) -> float:
        return self._rng.randrange(20, 61) / 2

    def _expect(self, zone: str, change: Callable[[Zone], Zone], *, is_refused: bool, told: object) -> None:
        """Change the model as the hub must have changed, and compare whether it has refused."""
        try:
            after, must_refuse = change(self.zones[zone]), False
        except Refused:
            after, must_refuse = self.zones[zone], True
        if must_refuse != is_refused:
            wanted = "a refusal" if must_refuse else "none"
            raise Difference(f"expected {wanted} in {zone}, {self.zones[zone]}, found {told}")
        self.zones[zone] = after
        self._was_refused = is_refused

    async def _aurra_setpoint(self, zone: str) -> None:
        value, mode = self._rng.randint(45, 85), self._rng.choice(MODES)
        body = {"temperature": value, "mode": mode}
        status, told = await self._ask("aurra_home", "POST", f"/aurra-home/v1/thermostat/{zone}/setpoint", body)
        self._expect(
            zone, lambda known: model.aurra_setpoint(known, value, mode), is_refused=status != 200, told=(body, told)
        )

    async def _aurra_eco(self, zone: str) -> None:
        enabled = self._rng.random() < 0.4
        limits = {} if self._rng.random() < 0.5 else {"heat_limit": self._rng.randint(55, 75), "cool_limit": 79}
        body = {"enabled": enabled, **limits}
        status, told = await self._ask("aurra_home", "POST", f"/aurra-home/v1/thermostat/{zone}/eco", body)
        self._expect(
            zone,
            lambda known: model.aurra_eco(known, enabled, limits.get("heat_limit"), limits.get("cool_limit")),
            is_refused=status != 200,
            told=(body, told),
        )

    async def _amps_push(self, zone: str) -> None:
        command = self._rng.choice(("heat", "cool", "auto", "idle", "follow_schedule"))
        heat = self._half_degree() if command in ("heat", "auto") else None
        cool = self._half_degree() if command in ("cool", "auto") else None
        names = {"heatSetpoint": heat, "coolSetpoint": cool} if command == "auto" else {"target": heat or cool}
        quantities = {name: {"value": value, "unit": "celsius"} for name, value in names.items() if value is not None}
        body = {"action": {"command": command, "parameters": quantities}}
        status, told = await self._ask("amps", "POST", f"/amps/hvac/{zone}", body)
        if status == 202:
            status, told = await self._settled(told["data"]["id"])
        self._expect(
            zone, lambda known: model.amps_push(known, command, heat, cool), is_refused=status != 200, told=(body, told)
        )

    async def _settled(self, action: str) -> tuple[int, Any]:
        """Wait for the end of an action; return 200 where it was carried out."""
        while True:
            _, told = await self._ask("amps", "GET", f"/amps/actions/{action}")
            if told["data"]["state"] in ("completed", "failed", "cancelled"):
                return 200 if told["data"]["state"] == "completed" else 409, told

    async def _execute(self, zone: str, function: str, trait: str, value: object) -> tuple[bool, Any]:
        self._numbers += 1
        item = {"deviceId": self._aqara_ids[zone], "endpointId": self._endpoints[zone], "functionCode": function}
        data = [{**item, "traitCode": trait, "value": value}]
        body = {"type": "ExecuteTraitRequest", "version": "v1", "msgId": f"m{self._numbers}", "data": data}
        _, told = await self._ask("aqara", "POST", "/aqara/open/api", body)
        return told["code"] != 0, (data, told)

    async def _aqara_mode(self, zone: str) -> None:
        mode = self._rng.choice(MODES)
        failed, told = await self._execute(zone, "HeaterCooler", "HeaterCoolerMode", AQARA_MODES[mode])
        self._expect(zone, lambda known: model.aqara_mode(known, mode), is_refused=failed, told=told)

    async def _aqara_setpoint(self, zone: str) -> None:
        is_heat, value = self._rng.random() < 0.5, self._half_degree()
        trait = "HeatingTemperature" if is_heat else "CoolingTemperature"
        failed, told = await self._execute(zone, "HeaterCooler", trait, value)
        heat, cool = (value, None) if is_heat else (None, value)
        self._expect(zone, lambda known: model.aqara_setpoint(known, heat, cool), is_refused=failed, told=told)

    async def _page_request(self, zone: str, body: Mapping[str, object], change: Callable[[Zone], Zone]) -> None:
        given = {name: value for name, value in body.items() if value is not None}
        status, told = await self._ask("page", "POST", f"/v1/climate/{zone}", given)
        self._expect(zone, change, is_refused=status != 200, told=(given, told))

    async def _page_set(self, zone: str) -> None:
        mode = self._rng.choice((None, *MODES))
        heat = self._half_degree() if mode is None or self._rng.random() < 0.5 else None
        body = {"do": "set", "mode": mode, "heat_setpoint_c": heat}
        await self._page_request(zone, body, lambda known: model.page_set(known, mode, heat, None))

    async def _page_hold(self, zone: str) -> None:
        heat, cool = self._half_degree(), self._half_degree() if self._rng.random() < 0.5 else None
        body = {"do": "hold", "heat_setpoint_c": heat, "cool_setpoint_c": cool}
        await self._page_request(zone, body, lambda known: model.held(_released(known), Hold(heat, cool)))

    async def _page_resume(self, zone: str) -> None:
        await self._page_request(zone, {"do": "resume"}, _released)

    async def find_devices(self) -> None:
        """Find the zones among Aqara's devices, as a client does."""
        devices = await self._aqara()
        self._aqara_ids = {zone: next(each["deviceId"] for each in devices if each["name"] == zone) for zone in ZONES}
        self._endpoints = {
            zone: next(
                endpoint["endpointId"]
                for each in devices
                if each["name"] == zone
                for endpoint in each["endpoints"]
                for function in endpoint["functions"]
                if function["functionCode"] == "HeaterCooler"
            )
            for zone in ZONES
        }

    async def _aqara(self) -> list[dict[str, Any]]:
        body = {"type": "GetAllDevicesWithSpaceRequest", "version": "v1", "msgId": "m", "data": None}
        _, told = await self._ask("aqara", "POST", "/aqara/open/api", body)
        return list(told["data"])

    async def _page(self) -> dict[str, dict[str, Any]]:
        _, told = await self._ask("page", "GET", "/v1/climate")
        return {each["zone"]: each for each in told["zones"]}

    async def _compare(self, after: str) -> None:
        """Compare what each API shows of each zone."""
        page, devices = await self._page(), await self._aqara()
        for name, known in self.zones.items():
            heat, cool = known.shown
            shown: dict[str, tuple[object, object]] = {
                "page mode": (page[name]["mode"], known.shown_mode),
                "page heat": (_near(page[name]["heat_setpoint_c"], heat), heat),
                "page cool": (_near(page[name]["cool_setpoint_c"], cool), cool),
                "page hold": (bool(page[name]["holds"]), known.hold is not None),
            }
            _, status = await self._ask("aurra_home", "GET", f"/aurra-home/v1/thermostat/{name}/status")
            shown |= {
                "aurra mode": (status["mode"], known.shown_mode),
                "aurra eco": (status["eco_mode"], known.eco),
            }
            _, device = await self._ask("amps", "GET", f"/amps/hvac/{name}")
            state = device["data"]["state"]
            shown |= {
                "amps mode": (state["mode"], known.shown_mode),
                "amps heat": (_near(state["heatSetpoint"], heat), heat),
                "amps cool": (_near(state["coolSetpoint"], cool), cool),
                "amps hold": (state["holdType"], "permanent" if known.hold else "follow_schedule"),
            }
            traits = _traits(next(each for each in devices if each["deviceId"] == self._aqara_ids[name]))
            shown["aqara mode"] = (traits["HeaterCoolerMode"], AQARA_MODES[known.shown_mode])
            shown["aqara power"] = (traits["OnOff"], known.shown_mode != "off")
            if known.shown_mode != "off":
                shown["aqara heat"] = (_near(traits["HeatingTemperature"], heat), heat)
                shown["aqara cool"] = (_near(traits["CoolingTemperature"], cool), cool)
            if wrong := {what: pair for what, pair in shown.items() if pair[0] != pair[1]}:
                raise Difference(f"after {after} in {name}, {known}: found, expected: {wrong}")
        await self._compare_facts(after)
        await self._compare_outputs()

    async def _compare_facts(self, after: str) -> None:
        """Compare what the hub's facts say: the recorder writes the changes that it receives and reads nothing else."""
        await self._recorder.write(is_look=False)
        _, told = await self._ask("aurra_facts", "GET", f"/aurra/agent/memories?source=hub&limit={FACTS_MAX}")
        texts: dict[str, list[str]] = {name: [] for name in ZONES}
        for memory in told["memories"]:
            if match := _FACT.fullmatch(memory["decision"]):
                texts[match["zone"]].append(match["text"])
        for name, known in self.zones.items():
            heat, cool = known.shown
            (setpoints,) = _matches(_SETPOINTS, texts[name])
            shown: dict[str, tuple[object, object]] = {
                "facts heat": (_near(float(setpoints["heat"]), heat), heat),
                "facts cool": (_near(float(setpoints["cool"]), cool), cool),
                "facts mode": ([found["mode"] for found in _matches(_MODE, texts[name])], [known.shown_mode]),
                "facts eco": ([found["eco"] for found in _matches(_ECO, texts[name])], ["on" if known.eco else "off"]),
                "facts holds": (len(_matches(_HOLD, texts[name])), int(known.hold is not None)),
            }
            if wrong := {what: pair for what, pair in shown.items() if pair[0] != pair[1]}:
                raise Difference(f"after {after} in {name}, {known}: found, expected: {wrong}; {texts[name]}")

    async def _compare_outputs(self) -> None:
        """Compare what each API says the outputs do. Asked again where control may have decided in between."""
        for _ in range(OUTPUT_READS_MAX):
            page, works = await self._page(), {}
            decided = {each.zone_id: each.action.value for each in self._rig.home.thermostats.all()}
            for name in ZONES:
                _, status = await self._ask("aurra_home", "GET", f"/aurra-home/v1/thermostat/{name}/status")
                _, device = await self._ask("amps", "GET", f"/amps/hvac/{name}")
                works[name] = (
                    page[name]["action"] != "off",
                    status["status"] == "active",
                    device["data"]["state"]["active"],
                    decided[name] != "off",
                )
            if all(len(set(each)) == 1 for each in works.values()):
                return
        raise Difference(f"the APIs do not agree on what works (page, AURRA Home, Amps, control): {works}")


def _released(zone: Zone) -> Zone:
    return model.amps_push(zone, "follow_schedule", None, None)


def _near(found: float, expected: float) -> float:
    """Return what is expected where an API shows it rounded."""
    return expected if abs(found - expected) <= SHOWN_K else found


def _matches(pattern: re.Pattern[str], texts: list[str]) -> list[re.Match[str]]:
    return [match for text in texts if (match := pattern.match(text))]


def _traits(device: dict[str, Any]) -> dict[str, Any]:
    return {
        trait["traitCode"]: trait["value"]
        for endpoint in device["endpoints"]
        for function in endpoint["functions"]
        for trait in function["traits"]
    }


@contextlib.asynccontextmanager
async def driver(directory: Path, seed: int) -> AsyncIterator[Driver]:
    """Run a hub with all APIs and without limits of their use, until the block ends."""
    async with open_apis(directory, config_text=CONFIG) as rig:
        # A schedule of one block begins it anew at midnight, which ends the holds that last until then.
        rig.port.clock.set_hour(10)
        apis = rig.port.hub.port.apis
        assert apis is not None
        apis.limits.count_source = lambda *_: None  # type: ignore[method-assign]
        apis.limits.count = lambda *_: ([], None)  # type: ignore[method-assign]
        made = {name: await rig.client(name) for name in APIS}
        async with rig.port.session(Role.OWNER) as client:
            body = {
                "client_id": made["aurra_home"].client_id,
                "client_secret": made["aurra_home"].secret,
                "grant_type": "client_credentials",
            }
            secrets = {name: each.secret for name, each in made.items()} | {"page": f"test-{Role.OWNER.value}"}
            status = 503
            while status == 503:
                async with client.post("/aurra-home/v1/auth/token", json=body) as response:
                    status, told = response.status, await response.json()
            secrets["aurra_home"] = told["access_token"]
            (recorder,) = [face.recorder for face in apis.faces if isinstance(face, AurraFactsFace)]
            drive = Driver(rig, client, secrets, recorder, seed)
            await until(lambda: rig.home.thermostats.all()[0].is_online)
            await drive.begin()
            await drive.find_devices()
            yield drive
