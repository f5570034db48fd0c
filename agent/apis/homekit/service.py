"""HomeKit of one hub: who is paired, the setup code, and the zones as controllers see them.

Owns `homekit.json`, readable by the service's user alone. Where it listens is the port's (`agent.port.homekit`). All
changes go through `Home.thermostats`. Must cost nothing but this file until the library is there and the loop runs.
"""

import asyncio
import contextlib
import importlib.util
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.apis.face import Limit
from agent.apis.homekit import pairing_record, setup_code
from agent.apis.homekit.pairing_record import PairingRecord
from agent.apis.homekit.setup_code import SetupCode
from agent.apis.homekit.translation import UNITS, requests_of
from agent.apis.rate_limit import RateLimits
from agent.errors import ClimahubError, SettingInvalid, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.secret_hash import RandomBytes
from agent.foundation.signals import Signal
from agent.foundation.worker import Worker
from agent.home.changes import HomeChange
from agent.home.home import Home
from agent.local.routes import Caller, Role

if TYPE_CHECKING:
    from agent.apis.homekit.driver import HubDriver

_log = logging.getLogger(__name__)

LIBRARY = "pyhap"
LIBRARY_MISSING = (
    "install HAP-python on the hub (pip install 'climahub[homekit]') and restart it: HomeKit is switched on, but not"
    " installed"
)

REFRESH_S = 10.0
"""How often measured values are looked at: as often as the control measures. Changes are shown at once."""

WRITES = Limit("homekit writes", 60)
"""Of one controller: a dial that is turned sends one for each tenth of a degree that it rests on."""

NAME = "climahub"
"""Of the bridge. People name it anew in the app."""


class Trail(Protocol):
    """Keeps what callers have changed: the audit trail."""

    def record(self, caller: Caller, action: str, target: str, result: str) -> None:
        """Keep one change."""
        ...


class HomeKitService:
    """HomeKit of one hub. Its loop is `run`.

    Attributes:
        driver: Of the library; `None` before the loop has built it, and without the library.
        is_installed: The library was there at the start.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        home: Home,
        limits: RateLimits,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        random_bytes: RandomBytes,
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is read.

        Args:
            state_dir: Where `homekit.json` lies.
            home: What is shown and changed.
            limits: Counts what controllers write.
            clock: The machine's clocks.
            disk: Reads and writes.
            worker: Where reading and writing block.
            random_bytes: The system's random source.
            add_fault: Shows a problem.
        """
        self._store = JsonStore(
            state_dir / pairing_record.FILE_NAME,
            PairingRecord(),
            disk=disk,
            worker=worker,
            bytes_max=pairing_record.FILE_BYTES_MAX,
            loss="pair the Home app again: HomeKit has forgotten who was paired",
            is_secret=True,
        )
        self._home = home
        self._limits = limits
        self._clock = clock
        self._random_bytes = random_bytes
        self._add_fault = add_fault
        self._audit: Trail | None = None
        self._code: SetupCode | None = None
        self._changed, self._unsaved = Signal(), Signal()
        self._waiting: list[asyncio.Future[None]] = []
        self._waiting_for_zones: list[asyncio.Future[None]] = []
        self._shape: object = None
        self._is_listening = False
        self._units: dict[str, bool] = {}
        """Chosen, and not in the record yet."""
        self.is_installed = importlib.util.find_spec(LIBRARY) is not None
        self.driver: HubDriver | None = None

    @property
    def problem(self) -> str:
        """Why HomeKit does not work, with the remedy, or what was wrong with its file; empty where nothing was."""
        return self._store.problem if self.is_installed else LIBRARY_MISSING

    @property
    def record(self) -> PairingRecord:
        """What is remembered."""
        return self._store.value

    @property
    def code_left_s(self) -> float:
        """How long the setup code can be used; 0 without one."""
        return self._code.left_s(self._clock.monotonic_ms()) if self._code else 0.0

    @property
    def announcement(self) -> Mapping[str, str]:
        """The details of the announcement (HomeKit Accessory Protocol, R2, table 6-7); empty before it can be used."""
        if self.driver is None:
            return {}
        record = self.record
        return {
            "md": NAME,
            "pv": "1.1",
            "id": record.accessory_id,
            "c#": str(record.configuration),
            "s#": "1",
            "ff": "0",
            "ci": "2",
            "sf": "0" if record.controllers else "1",
        }

    def audit_to(self, audit: Trail) -> None:
        """Have changes by controllers kept."""
        self._audit = audit

    def make_connection(self) -> asyncio.Protocol:
        """Return what takes a new connection; before HomeKit has started, it is closed at once."""
        if self.driver is None:
            return _Closed()
        from agent.apis.homekit.driver import HubConnection  # noqa: PLC0415 - as below

        made: asyncio.Protocol = HubConnection(self.driver)
        return made

    # What people at the hub do

    def new_code(self) -> str:
        """Make a setup code in the place of an earlier one, and return it: it is shown once, and never stored.

        Raises:
            SettingInvalid: The hub is paired already, or HomeKit does not work.
        """
        if self.driver is None:
            raise SettingInvalid(self.problem or "try again in a minute: HomeKit is still starting")
        if self.record.controllers:
            raise SettingInvalid("unpair first (climahub homekit unpair), or share the home in the app: it is paired")
        self._code = setup_code.make_code(self._random_bytes, self._clock.monotonic_ms())
        self.driver.set_code(self._code.digits)
        return self._code.digits

    async def unpair(self) -> int:
        """Remove every controller, and return how many there were.

        Raises:
            StorageFull: The disk refuses; they stay.
        """
        count = len(self.record.controllers)
        await self._store.commit(lambda stored: pairing_record.with_controllers(stored, ()))
        self._code = None
        if self.driver:
            self.driver.restore(self.record)
        return count

    # The gate of the driver

    def admits(self) -> bool:
        """Tell whether somebody may go on pairing now."""
        return self._code is not None and self._code.admits(self._clock.monotonic_ms())

    def count_start(self) -> None:
        """Count an attempt to pair."""
        if self._code:
            self._code = setup_code.with_start(self._code, self._clock.monotonic_ms())

    def count_wrong(self) -> None:
        """Count a wrong code; after the last one there is no code."""
        if self._code:
            self._code = setup_code.with_wrong(self._code)
            if self._code.wrong == setup_code.WRONG_MAX:
                _log.warning("the setup code of HomeKit is void after %d wrong ones", self._code.wrong)

    def paired(self, controller: str) -> None:
        """Take note that a controller has paired: the code is used up."""
        self._code = None
        self._tell(controller, "pair_homekit", "", "paired")

    def unpaired(self, controller: str) -> None:
        """Take note that a controller was removed."""
        self._tell(controller, "unpair_homekit", "", "unpaired")

    def save(self) -> "asyncio.Future[None]":
        """Have the controllers written; the future ends once they are, or with a `StorageFull`."""
        return self._wait_in(self._waiting)

    def save_zones(self) -> "asyncio.Future[None]":
        """Have what is set for the zones written; the future ends as that of `save`."""
        return self._wait_in(self._waiting_for_zones)

    def _wait_in(self, waiting: "list[asyncio.Future[None]]") -> "asyncio.Future[None]":
        saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(saved)
        self._unsaved.set()
        return saved

    # Loops

    async def run(self) -> None:
        """Build what controllers see, then keep it as the home is, until cancelled."""
        if not self.is_installed:
            self._add_fault(self.problem)
            await asyncio.Event().wait()
        await self._store.load_patiently()
        if self.problem:
            self._add_fault(self.problem)
        await self._store.apply(lambda stored: pairing_record.with_identity(stored, self._random_bytes))
        driver = await self._build()
        if not self._is_listening:
            self._is_listening = True
            self._home.changes.on_change(self._on_change)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._save_forever(driver))
                while True:
                    await self._changed.wait(REFRESH_S)
                    await self._follow(driver)
                    driver.close_strangers()
        finally:
            self.driver = None
            driver.close_all()

    async def _build(self) -> "HubDriver":
        # Imported late: the library and what it brings take 8 MiB.
        from agent.apis.homekit import driver as library  # noqa: PLC0415

        library.silence_library()
        self._shape, self._waiting, self._waiting_for_zones = None, [], []
        driver = library.HubDriver(self, self.record, now_ms=self._clock.monotonic_ms)
        driver.refresh = lambda: self._show(driver)
        await self._follow(driver)
        self.driver = driver
        return driver

    def _on_change(self, _: HomeChange) -> None:
        self._changed.set()

    async def _follow(self, driver: "HubDriver") -> None:
        """Show the home as it is; where it offers something else than before, controllers read everything again."""
        from agent.apis.homekit.accessories import ZoneAccessory, build_bridge  # noqa: PLC0415 - as above

        found = self._home.thermostats.all()
        measured = {each.zone_id: each.humidity_percent is not None for each in found}
        units = dict(self._units)
        await self._store.apply(lambda stored: pairing_record.with_zones(stored, measured, units))
        self._units = {zone_id: unit for zone_id, unit in self._units.items() if units.get(zone_id) is not unit}
        zones = self.record.zones
        shape = [(each.zone_id, each.name, each.modes, zones[each.zone_id].has_humidity) for each in found]
        if shape == self._shape:
            self._show(driver)
            return
        bridge = build_bridge(driver, NAME, self.record.accessory_id)
        for each in found:
            bridge.add_accessory(ZoneAccessory(driver, each, zones[each.zone_id], self._write))
        driver.accessory = bridge
        self._shape = shape
        await self._store.apply(lambda stored: pairing_record.with_configuration(stored, driver.accessories_hash))
        driver.state.config_version = self.record.configuration

    def _show(self, driver: "HubDriver") -> None:
        """Show measured values and setpoints; controllers receive what has changed."""
        for each in driver.accessory.accessories.values():
            with contextlib.suppress(ClimahubError):
                found = self._home.thermostats.get(each.zone_id)
                record = self.record.zones[each.zone_id]
                each.show(found, is_fahrenheit=self._units.get(each.zone_id, record.is_fahrenheit))

    async def _save_forever(self, driver: "HubDriver") -> None:
        while True:
            await self._unsaved.wait()
            if self._waiting:
                await self._save(driver)
            if self._waiting_for_zones:
                await self._save_zones()

    async def _save_zones(self) -> None:
        """Write what is set for the zones, and tell those who wait for it."""
        waiting, self._waiting_for_zones = self._waiting_for_zones, []
        problem: StorageFull | None = None
        try:
            await self._home.thermostats.save_in_time()
        except StorageFull as error:
            _log.warning("HomeKit: %s", error)
            problem = error
        _settle(waiting, problem)

    async def _save(self, driver: "HubDriver") -> None:
        """Write who is paired, and tell those who wait for it."""
        waiting, self._waiting = self._waiting, []
        controllers = driver.controllers()
        problem: StorageFull | None = None
        try:
            await self._store.commit(lambda stored: pairing_record.with_controllers(stored, controllers))
        except StorageFull as error:
            problem = error
            driver.restore(self.record)
            # What was asked meanwhile is undone too.
            waiting, self._waiting = [*waiting, *self._waiting], []
        _settle(waiting, problem)

    # What controllers do

    def _write(self, zone_id: str, written: Mapping[str, object]) -> None:
        """Carry out what a controller has written.

        Raises:
            ClimahubError: It cannot be carried out; the controller receives an error.
        """
        driver = self.driver
        who = driver.writer if driver else ""
        result = "refused"
        try:
            _, wait_s = self._limits.count(f"homekit:{who}", [WRITES])
            if wait_s is not None:
                raise SettingInvalid(f"wait {wait_s} s: this controller has changed too much")
            values = _numbers(written)
            if UNITS in values:
                self._units[zone_id] = values[UNITS] == 1
                self._changed.set()
            thermostat = self._home.thermostats.get(zone_id)
            changed = self._home.thermostats.apply_all(zone_id, requests_of(thermostat, values), by=f"homekit:{who}")
            if driver and changed:
                driver.is_zone_unsaved = True
            result = "done"
        except ClimahubError as error:
            _log.info("HomeKit: %s", error)
            raise
        finally:
            self._tell(who, "set_homekit_thermostat", zone_id, result)

    def _tell(self, who: str, action: str, target: str, result: str) -> None:
        if self._audit:
            origin = self.driver.writer_address if self.driver else ""
            self._audit.record(Caller(f"homekit:{who}", Role.SERVICE, origin), action, target, result)


def _settle(waiting: "list[asyncio.Future[None]]", problem: StorageFull | None) -> None:
    """Tell those who wait for the disk what came of it."""
    for each in waiting:
        if each.done():
            continue
        if problem:
            each.set_exception(problem)
        else:
            each.set_result(None)


def _numbers(written: Mapping[str, object]) -> Mapping[str, float]:
    """Return what was written, all of it numbers.

    Raises:
        SettingInvalid: Something is none.
    """
    found: dict[str, float] = {}
    for name, value in written.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise SettingInvalid(f"send a number as {name}")
        found[name] = value
    return found


class _Closed(asyncio.Protocol):
    """Closes a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()
