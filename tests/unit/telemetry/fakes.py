"""Stand-ins for what telemetry gets from other components."""

from collections.abc import Iterable, Sequence


class AllRegistered:
    """Identities of sensors that are all registered, each under its own name, and relayed unless removed."""

    def __init__(self, removed: Iterable[str] = ()) -> None:
        self.registered_devices: Sequence[str] = ()
        self._removed = removed

    def is_registered(self, device: str) -> bool:
        return True

    def sensor_id(self, device: str) -> str | None:
        return device

    def is_relayed(self, device: str) -> bool:
        return device not in self._removed

    def record_acceptance(self, devices: Iterable[str]) -> None: ...
