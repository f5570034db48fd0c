"""What telemetry needs to know of relayed sensors: their cloud identities. `app.py` passes in the one of pairing."""

from collections.abc import Iterable, Sequence
from typing import Protocol


class Identities(Protocol):
    """The cloud identities of relayed sensors, by device. No method blocks."""

    @property
    def registered_devices(self) -> Sequence[str]:
        """The devices with a cloud identity, removed ones included."""
        ...

    def is_registered(self, device: str) -> bool:
        """Tell whether the cloud has given a device its identity: only then can its readings be sent."""
        ...

    def sensor_id(self, device: str) -> str | None:
        """Return the cloud's id of a device; `None` before it is registered."""
        ...

    def is_relayed(self, device: str) -> bool:
        """Tell whether the readings of a device are taken in: not after it was removed or replaced."""
        ...

    def record_acceptance(self, devices: Iterable[str]) -> None:
        """Take note that the cloud accepted readings of these devices."""
        ...
