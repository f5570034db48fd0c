"""What two thermometers, on supply and return of a heated zone, say about flow, emission and source. Pure.

In a steady state the emitter is a heat exchanger whose one side, the room, keeps its temperature (VDI Heat Atlas, C1):
the share of the supply's excess over the room that the water has lost when it returns is 1 - exp(-UA / (m c)). So
UA / (m c), its number of transfer units, comes of three temperatures. A changed heating curve or setpoint moves the
spread in kelvin and hardly this, as UA grows with about the 0.2th power of the excess (radiators 0.3, floors 0.1).

* **spread** rises with a worn pump, sludge, a clogged filter, air in the circuit.
* **low_spread**: it falls with an open bypass, an emitter that holds air or sludge, a pump that is set too high.
* **low_supply**: the supply's excess over the room falls at the same weather and output: the source loses output, by
  scale, lost refrigerant, a fouled burner. That needs the temperature outside.
"""

from collections.abc import Mapping
from enum import StrEnum
from math import exp, floor, log
from types import MappingProxyType

import msgspec

OUTPUT_MIN = 0.05
"""Below this output the zone is not heated."""

ON_S_MIN = 600.0
"""So long the output must have been on: the thermometers on the pipes lag by two minutes, and the water goes round."""

STILL_K = 1.5
STILL_S = 300.0
"""Supply and return are settled when neither has moved by more than the first for the second."""

OUTPUT_STEP = 0.1
"""Another output is another state, which has to settle."""

READING_S = 300.0
"""A reading is the mean of so much settled heating."""

EXCESS_K_MIN, EXCESS_K_MAX = 6.0, 100.0
"""With a supply less above the room the errors of two thermometers (0.5 K each) are too large a part of the spread."""

SWAPPED_K = 1.0
"""A return that is warmer than the supply by more than this is the supply."""

SHARE_MIN = 0.02
"""A spread below this share counts as this: what is less is the error of two thermometers."""

SHARE_MAX = 0.92
"""A return as cold as the room is no pipe with water in it: its thermometer has come off, or the valve is shut."""

EXCESS_POWER = 0.2
"""With this power of the excess the transfer units of an emitter grow: EN 442 gives the heat of radiators as the 1.3rd,
EN 1264 that of floors as the 1.1st."""

OUTPUT_BANDS = 8
"""A zone with another output has another flow."""
OUTDOOR_BAND_K = 5.0
OUTDOOR_C = (-40.0, 50.0)


class PipeChannel(StrEnum):
    """A measured quantity."""

    SPREAD = "spread"
    SUPPLY = "supply"


class PipeIndicator(StrEnum):
    """What is watched; the values are part of the local API."""

    SPREAD = "spread"
    LOW_SPREAD = "low_spread"
    LOW_SUPPLY = "low_supply"


CHANNEL_OF: Mapping[PipeIndicator, PipeChannel] = MappingProxyType(
    {
        PipeIndicator.SPREAD: PipeChannel.SPREAD,
        PipeIndicator.LOW_SPREAD: PipeChannel.SPREAD,
        PipeIndicator.LOW_SUPPLY: PipeChannel.SUPPLY,
    }
)

SIGN_OF: Mapping[PipeIndicator, float] = MappingProxyType(
    {PipeIndicator.SPREAD: -1.0, PipeIndicator.LOW_SPREAD: 1.0, PipeIndicator.LOW_SUPPLY: 1.0}
)
"""A drift reports what falls (`agent.maintenance.machine_drift`): what is bad when it rises is negated."""


class PipePair(msgspec.Struct, frozen=True):
    """The two thermometers of a zone now.

    Attributes:
        supply_c: Of the supply; `None` if it is not known.
        return_c: Of the return; `None` if it is not known.
        sensors: Their names, supply first.
    """

    supply_c: float | None
    return_c: float | None
    sensors: tuple[str, ...] = ()


class Steady(msgspec.Struct, frozen=True):
    """A zone while it is heated.

    Attributes:
        on_s: How long the output has been on.
        output: Its share of full output.
        supply_c: The supply when it was last taken as still.
        return_c: The return then.
        still_s: How long neither has moved since.
        counted_s: The settled time that no reading has been made of yet.
        supply_ks: The sum of supply minus room in it, in kelvin seconds.
        spread_ks: That of supply minus return.
    """

    on_s: float = 0.0
    output: float = 0.0
    supply_c: float = 0.0
    return_c: float = 0.0
    still_s: float = 0.0
    counted_s: float = 0.0
    supply_ks: float = 0.0
    spread_ks: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether a reading can be made of it."""
        return self.counted_s >= READING_S


REST = Steady()


class PipeReading(msgspec.Struct, frozen=True):
    """One measured value: the logarithm of it, and the operating state (`band`) in which it is comparable."""

    channel: PipeChannel
    band: int
    value: float


def follow_steady(before: Steady, pair: PipePair, room_c: float | None, output: float, dt_s: float) -> Steady:
    """Return how a zone is heated after some time: `REST` where it is not, or where a temperature is not known.

    Args:
        before: Until then.
        pair: The thermometers.
        room_c: The room; `None` where it is not known, or not the heating's doing.
        output: The share of full output, 0 to 1.
        dt_s: The time.
    """
    supply_c, return_c = pair.supply_c, pair.return_c
    if output < OUTPUT_MIN or room_c is None or supply_c is None or return_c is None:
        return REST
    if before.on_s == 0.0:
        return Steady(dt_s, output, supply_c, return_c)
    on_s = before.on_s + dt_s
    moved_k = max(abs(supply_c - before.supply_c), abs(return_c - before.return_c))
    if moved_k > STILL_K or abs(output - before.output) > OUTPUT_STEP:
        return Steady(on_s, output, supply_c, return_c)
    still = msgspec.structs.replace(before, on_s=on_s, still_s=before.still_s + dt_s)
    if on_s < ON_S_MIN or still.still_s < STILL_S:
        return still
    return msgspec.structs.replace(
        still,
        counted_s=still.counted_s + dt_s,
        supply_ks=still.supply_ks + (supply_c - room_c) * dt_s,
        spread_ks=still.spread_ks + (supply_c - return_c) * dt_s,
    )


def is_swapped(excess_k: float, spread_k: float) -> bool:
    """Return whether the return is the supply: it is clearly warmer, and warm."""
    return spread_k < -SWAPPED_K and excess_k - spread_k >= EXCESS_K_MIN


def units_of(excess_k: float, spread_k: float) -> float:
    """Return the transfer units of the emitter, UA / (m c), as they would be with an excess of 1 K."""
    return -log(1.0 - max(SHARE_MIN, spread_k / excess_k)) * exp(-EXCESS_POWER * log(excess_k))


def spread_of(units: float, excess_k: float) -> float:
    """Return supply minus return for the units of `units_of`."""
    return excess_k * (1.0 - exp(-units * exp(EXCESS_POWER * log(excess_k))))


def readings_of(excess_k: float, spread_k: float, output: float, outdoor_c: float | None) -> list[PipeReading]:
    """Return what a settled state says; nothing where the pipe is not warm, or a thermometer is not on its pipe.

    Args:
        excess_k: Supply minus room.
        spread_k: Supply minus return.
        output: The share of full output, 0 to 1.
        outdoor_c: The temperature outside; `None` if it is not known.
    """
    if not excess_k >= EXCESS_K_MIN or spread_k < -SWAPPED_K:
        return []
    if spread_k > SHARE_MAX * excess_k or excess_k > EXCESS_K_MAX:
        return []
    level = min(OUTPUT_BANDS - 1, int(output * OUTPUT_BANDS))
    found = [PipeReading(PipeChannel.SPREAD, level, log(units_of(excess_k, spread_k)))]
    if outdoor_c is not None and OUTDOOR_C[0] <= outdoor_c <= OUTDOOR_C[1]:
        outdoor = floor((outdoor_c - OUTDOOR_C[0]) / OUTDOOR_BAND_K)
        found.append(PipeReading(PipeChannel.SUPPLY, level * 64 + outdoor, log(excess_k)))
    return found
