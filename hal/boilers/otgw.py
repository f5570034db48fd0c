"""The OpenTherm Gateway (OTGW) by pyotgw: serial port or TCP.

Facts are those of the gateway's firmware (otgw.tclcode.com/firmware.html, changelog.html): `CS=` overrides the flow
setpoint and, at 8 °C or more, must be repeated each minute (since 5.2; the timer is right since 5.6); `CH=0` forbids
heating during an override; `CS=0` ends it, and the thermostat's own demand counts again, or nothing without one. Both
need gateway mode (`GW=1`). Domestic hot water is never touched.

A gateway that has restarted has forgotten the override. It passes on each message to the boiler that it has made or
changed (`R`); data id 0 has the bit "CH enable" (OpenTherm 2.2, section 5.3.1), which pyotgw keeps as the boiler's
`master_ch_enabled`.
"""

import asyncio
import contextlib
import importlib
import re
from typing import Any

from hal.errors import ActuatorFault

OFF_C = 8.0
"""The setpoint of a boiler that must not heat (`CH=0`): the lowest that the gateway forgets when it is not repeated."""

SAFE_VERSION = (5, 6)
"""The first firmware whose override ends by silence."""

SILENCE_S = 75.0
"""An override has ended this long after the last setpoint: "a little over a minute"."""

INACTIVE_S_MAX = 10.0
"""pyotgw connects anew when the gateway has not written anything for this long; it passes on messages each second."""


class OtgwLink:
    """One gateway, implementing `hal.boilers.outputs.BoilerLink`."""

    def __init__(self, address: str) -> None:
        """Store where it is: a serial port's path, or "socket://HOST:PORT"."""
        self._address = address
        self._gateway: Any = None  # of an optional package without types
        self._connecting: asyncio.Task[object] | None = None

    @property
    def silence_s(self) -> float:
        """See `BoilerLink`."""
        return SILENCE_S

    @property
    def is_heating_enabled(self) -> bool | None:
        """See `BoilerLink`. Not seen: a thermostat's message that the gateway passes on as it is."""
        if self._gateway is None or not self._gateway.connection.connected:
            return None
        bit = self._gateway.status.status["boiler"].get("master_ch_enabled")
        return None if bit is None else bool(bit)

    @property
    def name(self) -> str:
        """What and where it is."""
        return f"OpenTherm gateway at {self._address}"

    async def send(self, flow_c: float | None) -> None:
        """See `BoilerLink`."""
        gateway = await self._connected()
        about = await gateway.send_transparent_command("PR", "A")
        if about is None:
            raise ActuatorFault(f"{self.name} answers nothing; check its supply, its cable and boiler.address")
        self._check_firmware(str(about))
        if str(await gateway.send_transparent_command("PR", "M")).endswith("=M"):
            raise ActuatorFault(f"{self.name} only monitors; switch it to gateway mode (GW=1)")
        setpoint_c = OFF_C if flow_c is None else flow_c
        # A setpoint that ends an override's absence sets CH to 1: so it comes first.
        has_setpoint = await gateway.set_control_setpoint(setpoint_c) == setpoint_c
        is_allowed = 0 if flow_c is None else 1
        # A boiler that shall be off is forbidden to heat even where the gateway keeps its old setpoint for a minute.
        has_permission = (has_setpoint or flow_c is None) and await gateway.set_ch_enable_bit(is_allowed) == is_allowed
        if not has_setpoint:
            raise ActuatorFault(f"{self.name} does not take the setpoint {setpoint_c:.1f} °C; check its log")
        if not has_permission:
            raise ActuatorFault(f"{self.name} does not take CH={is_allowed}; check its log")

    async def release(self) -> None:
        """See `BoilerLink`."""
        if self._gateway is not None and self._gateway.connection.connected:
            await self._gateway.set_control_setpoint(0.0)

    async def close(self) -> None:
        """See `BoilerLink`."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._gateway is not None:
            with contextlib.suppress(OSError, AttributeError):
                # pyotgw 2.2 fails on a connection that never was.
                await self._gateway.disconnect()

    async def _connected(self) -> Any:  # noqa: ANN401 - see `_gateway`
        """Return the gateway once pyotgw is connected to it; pyotgw goes on trying."""
        if self._gateway is None:
            try:
                # Read from a card that may be slow: not on the event loop.
                package = await asyncio.to_thread(importlib.import_module, "pyotgw")
            except ImportError as error:
                text = "an OpenTherm gateway needs the Python package pyotgw: pip install 'climahub[opentherm]'"
                raise ActuatorFault(text) from error
            self._gateway = package.OpenThermGateway()
            connect = self._gateway.connect(self._address, timeout=INACTIVE_S_MAX, skip_init=True)
            self._connecting = asyncio.get_running_loop().create_task(connect)
        if self._connecting is not None and not self._gateway.connection.connected:
            await asyncio.wait([self._connecting], timeout=INACTIVE_S_MAX)
        if self._connecting is not None and self._connecting.done():
            problem = self._connecting.exception()
            if problem is not None:
                # pyotgw fails on answers that it does not expect.
                self._gateway = self._connecting = None
                raise ActuatorFault(f"{self.name} answers as no OTGW does ({problem}); check boiler.address")
        if not self._gateway.connection.connected:
            raise ActuatorFault(f"{self.name} does not answer; check its supply, its cable and boiler.address")
        return self._gateway

    def _check_firmware(self, about: str) -> None:
        """Refuse a gateway that would go on heating when the hub is gone, by its report "A=OpenTherm Gateway 6.4"."""
        found = re.search(r"(\d+)\.(\d+)", about)
        if found is None:
            raise ActuatorFault(f"{self.name} does not tell its firmware; check that it is an OTGW")
        if (int(found[1]), int(found[2])) < SAFE_VERSION:
            text = "update its firmware to 5.6 or later: this one goes on heating when the hub is gone"
            raise ActuatorFault(f"{self.name}: {text} ({found[0]})")
