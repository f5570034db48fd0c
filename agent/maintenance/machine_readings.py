"""What measurements of a machine say about its health: current, inrush, vibration and the power of its plug. Pure.

A machine is whatever somebody measures at a zone's equipment: its fan, pump, burner or compressor. AURRA Home clients
post energy (minutes run, volts, amperes) and vibration (one amplitude, one frequency). That is a trend and no waveform:
it is compared with the machine's own past at the same operating state, and never names a part of it. The Zigbee plug on
which a zone's equipment hangs measures its power.

* **current** rises with friction, a failing run capacitor, a fouled condenser; it **falls** with lost refrigerant or a
  clogged filter of a blower.
* **inrush**, where a client sends it, rises with a failing start capacitor and with weak wiring.
* **power**, of a plug, rises and falls with the same faults as the current.
* **vibration** rises with wear, imbalance and looseness.
"""

from collections.abc import Mapping
from enum import StrEnum
from math import floor, isfinite, log, pi, sqrt
from types import MappingProxyType

import msgspec

RUN_MINUTES_MAX = 1440
"""A post about more than a day is no measurement of one operating state."""

VOLTAGE_V = (50.0, 500.0)
CURRENT_A = (0.02, 200.0)
INRUSH_A = (0.02, 2000.0)
POWER_W = (2.0, 25_000.0)
AMPLITUDE_G = (0.01, 10.0)
"""Below 0.01 g a machine stands still: that is the noise of a cheap accelerometer."""
FREQUENCY_HZ = (1.0, 20_000.0)

NOMINAL_V = 230.0
VOLTAGE_BAND = 0.06
FREQUENCY_BAND = 0.10
"""Widths of bands, in logarithms: the mains stay within one or two; a fan's speed within 10 % is the same speed."""
OUTDOOR_BAND_K = 10.0
POWER_BAND_K = 5.0
"""A plug's values come often enough to be compared within less."""
OUTDOOR_C = (-40.0, 50.0)
MINUTES_BANDS = 7
_UNKNOWN = 31
"""Band of a quantity that is not known."""

VELOCITY_HZ = (10.0, 1000.0)
"""The band of the velocity of machines (ISO 20816-1)."""
G_MM_S2 = 9806.65


class Channel(StrEnum):
    """A measured quantity."""

    CURRENT = "current"
    INRUSH = "inrush"
    AMPLITUDE = "amplitude"
    POWER = "power"


class MachineIndicator(StrEnum):
    """What is watched; the values are part of the local API."""

    CURRENT = "current"
    LOW_CURRENT = "low_current"
    INRUSH = "inrush"
    VIBRATION = "vibration"
    POWER = "power"
    LOW_POWER = "low_power"


CHANNEL_OF: Mapping[MachineIndicator, Channel] = MappingProxyType(
    {
        MachineIndicator.CURRENT: Channel.CURRENT,
        MachineIndicator.LOW_CURRENT: Channel.CURRENT,
        MachineIndicator.INRUSH: Channel.INRUSH,
        MachineIndicator.VIBRATION: Channel.AMPLITUDE,
        MachineIndicator.POWER: Channel.POWER,
        MachineIndicator.LOW_POWER: Channel.POWER,
    }
)

SIGN_OF: Mapping[MachineIndicator, float] = MappingProxyType(
    {
        MachineIndicator.CURRENT: -1.0,
        MachineIndicator.LOW_CURRENT: 1.0,
        MachineIndicator.INRUSH: -1.0,
        MachineIndicator.VIBRATION: -1.0,
        MachineIndicator.POWER: -1.0,
        MachineIndicator.LOW_POWER: 1.0,
    }
)
"""A drift reports what falls (`agent.maintenance.machine_drift`): what is bad when it rises is negated."""


class EnergyPost(msgspec.Struct, frozen=True):
    """Energy of one period.

    Attributes:
        utc_ms: When the period began.
        run_minutes: How long the machine ran in it.
        voltage_v: The voltage.
        current_a: The current while it ran.
        inrush_a: The largest current at a start; `None` where the client does not measure it.
    """

    utc_ms: int
    run_minutes: float
    voltage_v: float
    current_a: float
    inrush_a: float | None = None


class VibrationPost(msgspec.Struct, frozen=True):
    """Vibration at one moment: the peak of the largest tone in g, and its frequency (0 where it is not known)."""

    utc_ms: int
    amplitude_g: float
    frequency_hz: float


class PowerPost(msgspec.Struct, frozen=True):
    """What a plug has measured at one moment, in W, while the machine was running steadily."""

    utc_ms: int
    watts: float


Post = EnergyPost | VibrationPost | PowerPost


class ZoneState(msgspec.Struct, frozen=True):
    """What the hub does in the zone while a post arrives.

    Attributes:
        mode: 1 while it heats, 2 while it cools, 0 otherwise.
        outdoor_c: The temperature outside; `None` if it is not known.
    """

    mode: int = 0
    outdoor_c: float | None = None


class Reading(msgspec.Struct, frozen=True):
    """One measured value: the logarithm of it, and the operating state (`band`) in which it is comparable."""

    channel: Channel
    band: int
    value: float


def readings_of(post: Post, state: ZoneState) -> list[Reading]:
    """Return what a post says; nothing where the machine stood still or a value is beyond what machines have."""
    if isinstance(post, VibrationPost):
        if not _is_within(post.amplitude_g, AMPLITUDE_G):
            return []
        return [Reading(Channel.AMPLITUDE, vibration_band(post.frequency_hz, state), log(post.amplitude_g))]
    if isinstance(post, PowerPost):
        return [Reading(Channel.POWER, power_band(state), log(post.watts))] if _is_within(post.watts, POWER_W) else []
    is_run = _is_within(post.run_minutes, (1.0, RUN_MINUTES_MAX))
    if not is_run or not _is_within(post.voltage_v, VOLTAGE_V) or not _is_within(post.current_a, CURRENT_A):
        return []
    band = energy_band(post.run_minutes, post.voltage_v, state)
    found = [Reading(Channel.CURRENT, band, log(post.current_a))]
    if post.inrush_a is not None and _is_within(post.inrush_a, INRUSH_A):
        found.append(Reading(Channel.INRUSH, band, log(post.inrush_a)))
    return found


def energy_band(run_minutes: float, voltage_v: float, state: ZoneState) -> int:
    """Return the operating state of an energy post: mode, outside, length of the run to a factor of two, voltage."""
    minutes = min(MINUTES_BANDS, int(run_minutes).bit_length())
    voltage = round(log(voltage_v / NOMINAL_V) / VOLTAGE_BAND)
    return ((state.mode * 32 + _outdoor_band(state)) * 8 + minutes) * 64 + voltage + 32


def vibration_band(frequency_hz: float, state: ZoneState) -> int:
    """Return the operating state of a vibration post: mode, and the frequency as a measure of the speed."""
    is_known = _is_within(frequency_hz, FREQUENCY_HZ)
    return state.mode * 256 + (round(log(frequency_hz) / FREQUENCY_BAND) if is_known else 255)


def power_band(state: ZoneState) -> int:
    """Return the operating state of a plug's power: mode, and the temperature outside."""
    return state.mode * 32 + _outdoor_band(state, POWER_BAND_K)


def velocity_rms_mm_s(amplitude_g: float, frequency_hz: float) -> float | None:
    """Return the RMS velocity in mm/s of a tone with this peak acceleration: v = a / (2 pi f).

    `None` where the frequency is not from 10 to 1,000 Hz: then an amplitude has no severity.
    """
    if not _is_within(frequency_hz, VELOCITY_HZ) or not _is_within(amplitude_g, (0.0, AMPLITUDE_G[1])):
        return None
    return G_MM_S2 * amplitude_g / sqrt(2.0) / (2.0 * pi * frequency_hz)


def _outdoor_band(state: ZoneState, width_k: float = OUTDOOR_BAND_K) -> int:
    outdoor_c = state.outdoor_c
    if outdoor_c is None or not _is_within(outdoor_c, OUTDOOR_C):
        return _UNKNOWN
    return floor((outdoor_c - OUTDOOR_C[0]) / width_k)


def _is_within(value: float, limits: tuple[float, float]) -> bool:
    return isfinite(value) and limits[0] <= value <= limits[1]
