"""The workload of pairing: a technician who pairs, names, replaces and removes sensors, and what happens to them.

Sends the hub what a person can send over the local API, and repeats it where the hub died in between. Keeps the
expectations for the pairing oracle. Must not use what only the hub has, except what `zigbee list` shows.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from agent import app
from agent.errors import LabelInvalid, PairingRefused, StorageFull
from agent.pairing.lifecycle import PairingRecord, PairingStage
from agent.pairing.requests import JoinWindowRequest
from hal.errors import NetworkLost, SensorUnavailable
from hal.sim import SimMesh
from lab.simulation.machine import PowerCut

BEGINS_S = 60.0
PAIRING_SHARE = 0.4
"""The share of the time for pairing new sensors; faults and changes follow after it."""

MANY_SHARE, LABEL_SHARE, NAME_SHARE, WRONG_KEY_SHARE = 0.4, 0.5, 0.7, 0.1
SPARES_SHARE = 0.1
"""The share of the boxed sensors that are kept as replacements."""

ATTEMPTS_MAX = 40
ROUND_S = 600.0
"""How often the technician checks every sensor."""

_REPLACED = 5
"""Its index in the list of fates."""

_Job = Callable[[], Coroutine[Any, Any, None]]
_Fault = Callable[[int], object]
"""An event in the simulated network; receives the time."""

_TROUBLES = (PairingRefused, LabelInvalid, StorageFull, NetworkLost, SensorUnavailable)


def _time_of(planned: tuple[float, object]) -> float:
    return planned[0]


class ExpectedPairings(msgspec.Struct):
    """The sensors that the technician expects in the network, by device.

    Attributes:
        paired: Devices that must be relayed, each with the device whose identity it has: itself or the replaced one.
        removed: Devices that must no longer be relayed, each with the second of its removal.
        joined: Devices that have been in the network.
        roots: For each replacement, the device whose identity it has.
    """

    paired: dict[str, str] = msgspec.field(default_factory=dict)
    removed: dict[str, float] = msgspec.field(default_factory=dict)
    joined: set[str] = msgspec.field(default_factory=set)
    roots: dict[str, str] = msgspec.field(default_factory=dict)


class PairingWorkload:
    """Pairs the boxed sensors and maintains them."""

    def __init__(
        self,
        mesh: SimMesh,
        devices: Sequence[str],
        *,
        keys: Mapping[str, str],
        expected: ExpectedPairings,
        rng: random.Random,
        now_s: Callable[[], float],
        hub: Callable[[], app.Hub | None],
        on_power_cut: Callable[[], None],
        is_calm: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            mesh: The network.
            devices: The boxed sensors.
            keys: The sensors' keys.
            expected: Receives the expectations.
            rng: The source of all choices.
            now_s: Virtual seconds.
            hub: The hub that runs now.
            on_power_cut: Called when the machine stops at an operation of a request.
            is_calm: Tells whether the calm period has begun, without further faults of sensors.
        """
        self._mesh = mesh
        self._devices = devices
        self._keys = keys
        self._rng = rng
        self._now_s = now_s
        self._hub = hub
        self._on_power_cut = on_power_cut
        self._is_calm = is_calm
        self._call: asyncio.Task[None] | None = None
        self.expected = expected

    def cancel_request(self) -> None:
        """Cancel the pending request: the hub is dead."""
        if self._call is not None:
            self._call.cancel()

    async def run(self, *, until_s: float) -> None:
        """Work through a plan drawn from the seed, then make rounds, until cancelled.

        Args:
            until_s: When the calm begins.
        """
        jobs, faults = self._plan(until_s)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work(sorted(jobs, key=_time_of)))
            group.create_task(self._inject_faults(sorted(faults, key=_time_of)))

    async def _work(self, jobs: Sequence[tuple[float, _Job]]) -> None:
        next_round_s = ROUND_S
        for at_s, job in jobs:
            while next_round_s < at_s:
                await self._sleep_until(next_round_s)
                await self._round()
                next_round_s = max(next_round_s + ROUND_S, self._now_s())
            await self._sleep_until(at_s)
            await job()
        while True:
            await asyncio.sleep(ROUND_S)
            await self._round()

    async def _inject_faults(self, faults: Sequence[tuple[float, _Fault]]) -> None:
        for at_s, fault in faults:
            await self._sleep_until(at_s)
            fault(self._now_ms())

    # The plan.

    def _plan(self, until_s: float) -> tuple[list[tuple[float, _Job]], list[tuple[float, _Fault]]]:
        """Return the technician's jobs and the faults of sensors and stick, each with its time."""
        rng, mesh = self._rng, self._mesh
        spares_count = int(len(self._devices) * SPARES_SHARE)
        firsts, spares = list(self._devices[spares_count:]), list(self._devices[:spares_count])
        jobs: list[tuple[float, _Job]] = []
        faults: list[tuple[float, _Fault]] = []
        paired_by_s = until_s * PAIRING_SHARE
        waiting = firsts.copy()
        while waiting:
            group = waiting[: rng.randrange(2, 8) if rng.random() < MANY_SHARE else 1]
            del waiting[: len(group)]
            jobs.append((rng.uniform(BEGINS_S, paired_by_s), partial(self._pair, group)))
        for device in firsts:
            at_s = rng.uniform(paired_by_s, until_s * 0.9)
            later_s = rng.uniform(at_s, until_s * 0.95)
            fault, job, later_fault = self._fate(device, spares)
            faults += [(at_s, fault)] if fault else []
            faults += [(later_s, later_fault)] if later_fault else []
            jobs += [(later_s, job)] if job else []
        for _ in range(rng.randrange(1, 4)):
            at_s = rng.uniform(BEGINS_S, until_s * 0.9)
            faults.append((at_s, lambda now_ms: mesh.set_lost(is_lost=True, at_ms=now_ms)))
            faults.append((at_s + rng.uniform(30.0, 900.0), lambda now_ms: mesh.set_lost(is_lost=False, at_ms=now_ms)))
        return jobs, faults

    def _fate(self, device: str, spares: list[str]) -> tuple[_Fault | None, _Job | None, _Fault | None]:
        """Return a fault of a paired sensor, the technician's job after it, and the fault after that."""

        def press(now_ms: int) -> None:
            # With two new sensors at once and a key for one of them, no hub could tell which one is meant.
            if self._mesh.is_joined(device):
                self._mesh.press_button(device, now_ms)

        kill = partial(self._mesh.empty_battery, device)
        fates: list[tuple[_Fault | None, _Job | None, _Fault | None]] = [
            (press, None, press),
            (kill, None, partial(self._mesh.replace_battery, device)),
            (partial(self._mesh.factory_reset, device), partial(self._pair, [device]), None),
            (None, partial(self._remove, device), None),
            (None, partial(self._remove_and_pair, device), None),
            (kill, partial(self._replace, device, spares[-1]) if spares else None, None),
            (kill, None, None),
            (None, None, None),
        ]
        number = self._rng.choices(range(len(fates)), weights=(2, 2, 2, 1, 1, 3 if spares else 0, 1, 5))[0]
        if number == _REPLACED:
            spares.pop()
        return fates[number]

    # The technician's jobs.

    async def _pair(self, devices: Sequence[str]) -> None:
        for device in devices:
            self.expected.removed.pop(device, None)
            self.expected.paired.setdefault(device, self.expected.roots.get(device, device))
        if len(devices) > 1:
            await self._pair_many(devices)
        for device in devices:
            await self._settle(device)

    async def _remove_and_pair(self, device: str) -> None:
        await self._remove(device)
        await self._pair([device])

    async def _pair_many(self, devices: Sequence[str]) -> None:
        """Open one join window for several sensors and press one button after the other."""
        if not await self._request(
            lambda hub: hub.pairing.actions.open_join_window(JoinWindowRequest(seconds=180, is_many=True))
        ):
            return
        for device in devices:
            await asyncio.sleep(self._rng.uniform(1.0, 15.0))
            self._press(device)
        await asyncio.sleep(self._rng.uniform(0.0, 60.0))

    async def _settle(self, device: str) -> None:
        """Repeat join window, button and key until a sensor is relayed."""
        for _ in range(ATTEMPTS_MAX):
            record = self._record(device)
            is_in = self._mesh.is_joined(device)
            if device not in self.expected.paired:
                return
            is_waiting = record is not None and record.stage in {PairingStage.INTERVIEWED, PairingStage.KEYED}
            if self._mesh.is_dead(device) and not is_waiting:
                return
            if record is None or not is_in or record.stage in {PairingStage.JOINED, PairingStage.REMOVED}:
                await self._try_window(device)
            elif record.stage is PairingStage.INTERVIEWED or (record.stage is PairingStage.KEYED and record.problem):
                key = self._keys[self.expected.paired[device]]
                await self._request(lambda hub, key=key: hub.pairing.actions.give_key(device, key))  # type: ignore[misc]
                await asyncio.sleep(self._rng.uniform(5.0, 30.0))
            elif self._is_in_trouble(record):
                await self._try_window(device)
            else:
                return

    def _is_in_trouble(self, record: PairingRecord) -> bool:
        """Tell whether the list shows a problem that a person would solve."""
        hub = self._hub()
        return hub is not None and bool(hub.pairing.queries.problem_of(record))

    async def _try_window(self, device: str) -> None:
        rng, root = self._rng, self.expected.paired[device]
        is_wrong = rng.random() < WRONG_KEY_SHARE
        request = JoinWindowRequest(
            seconds=rng.randrange(60, 255),
            label=device if rng.random() < LABEL_SHARE else "",
            name=f"sensor {rng.randrange(10**6)}" if rng.random() < NAME_SHARE else "",
            key="" if root != device else "sk_sensor_mistyped" if is_wrong else self._keys[root],
            replaces=root if root != device else "",
        )
        if not await self._request(lambda hub: hub.pairing.actions.open_join_window(request)):
            # After a factory reset the sensor to replace may be unknown: then its key goes to the new one.
            plain = msgspec.structs.replace(request, replaces="", name="", key=self._keys[root])
            if not request.replaces or not await self._request(lambda hub: hub.pairing.actions.open_join_window(plain)):
                await asyncio.sleep(rng.uniform(10.0, 60.0))
                return
        for _ in range(rng.randrange(1, 4)):
            await asyncio.sleep(rng.uniform(2.0, 20.0))
            self._press(device)
            await asyncio.sleep(rng.uniform(5.0, 30.0))
            record = self._record(device)
            if (
                record is not None
                and record.stage not in {PairingStage.JOINED, PairingStage.REMOVED}
                and not record.problem
            ):
                return

    def _press(self, device: str) -> None:
        if self._mesh.press_button(device, self._now_ms()):
            self.expected.joined.add(device)

    async def _replace(self, old: str, new: str) -> None:
        self.expected.paired[new] = self.expected.roots[new] = self.expected.paired.pop(old, old)
        self.expected.removed[old] = self._now_s()
        for _ in range(ATTEMPTS_MAX):
            record = self._record(new)
            if record is not None and record.stage is PairingStage.INTERVIEWED:
                # It joined without the window's plan: the hub died in between.
                if not await self._request(lambda hub: hub.pairing.actions.replace(old, new)):
                    break
            elif record is not None and record.sensor_id:
                break
            else:
                await self._try_window(new)
        await self._ensure_removed(old)
        await self._settle(new)

    async def _remove(self, device: str) -> None:
        self.expected.paired.pop(device, None)
        self.expected.removed[device] = self._now_s()
        await self._ensure_removed(device)

    async def _ensure_removed(self, device: str) -> None:
        for _ in range(ATTEMPTS_MAX):
            record = self._record(device)
            if record is None or not record.is_relayed:
                return
            if await self._request(lambda hub: hub.pairing.actions.remove(device)):
                self.expected.removed[device] = self._now_s()
            await asyncio.sleep(self._rng.uniform(5.0, 30.0))

    async def _round(self) -> None:
        """Check every sensor: a factory reset makes the hub forget all of them."""
        if self._mesh.is_lost or self._hub() is None:
            return
        for device in list(self.expected.removed):
            record = self._record(device)
            if record is not None and record.is_relayed:
                await self._ensure_removed(device)
        for device in list(self.expected.paired):
            if self._mesh.is_joined(device) or self._is_calm():
                await self._settle(device)

    # Requests to the hub.

    def _record(self, device: str) -> PairingRecord | None:
        hub = self._hub()
        return None if hub is None else hub.pairing.queries.state.sensors.get(device)

    async def _request(self, ask: Callable[[app.Hub], Coroutine[Any, Any, None]]) -> bool:
        """Send the hub a request; return whether it succeeded. Waits for a hub that is down."""
        while (hub := self._hub()) is None:  # noqa: ASYNC110 - a person polls
            await asyncio.sleep(5.0)
        self._call = asyncio.get_running_loop().create_task(ask(hub))
        await asyncio.wait({self._call})
        call, self._call = self._call, None
        if call.cancelled():
            return False
        error = call.exception()
        if isinstance(error, PowerCut):
            self._on_power_cut()
            return False
        if error is None or isinstance(error, _TROUBLES):
            return error is None
        raise error

    async def _sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now_s()))

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000 + 0.5)
