"""Decodes the reports of zigpy's devices into values. Subscribes to their clusters from zigpy's device resolver.

`hal.zigbee.zcl` lists the attributes that are measurements, `hal.zigbee.vendor_quirks` the deviations of vendors.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, ZCLAttributeAccess, ZCLAttributeDef

from hal.bounded_table import BoundedTable
from hal.interface import SensorKind
from hal.zigbee import vendor_quirks, zcl
from hal.zigbee.radio_state import SENSORS_MAX
from hal.zigbee.vendor_quirks import VendorQuirk
from hal.zigbee.zcl import AttributeCandidate, SensorChannel

OnValue = Callable[[str, SensorChannel, float, int | None], None]
"""Called with IEEE address, channel, value, and link quality of the last hop."""

BASIC = 0x0000

_SELF_REPORTING = VendorQuirk("corrected by the community's table", reports_by_itself=True)
IKEA_MANUFACTURER = 0x117C


class IkeaVocIndex(Cluster):
    """IKEA's manufacturer-specific VOC index cluster; its definition allows to configure its reporting."""

    cluster_id = t.uint16_t(zcl.IKEA_VOC)  # type: ignore[no-untyped-call]
    name: Final = "VOC index"
    ep_attribute = "voc_index"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """The attributes of the cluster."""

        measured_value: Final = ZCLAttributeDef(
            id=t.uint16_t(zcl.MEASURED_VALUE),  # type: ignore[no-untyped-call]
            type=t.Single,
            access=ZCLAttributeAccess.Read | ZCLAttributeAccess.Report,
            manufacturer_code=t.uint16_t(IKEA_MANUFACTURER),  # type: ignore[no-untyped-call]
        )


def format_ieee(ieee: object) -> str:
    """Return zigpy's EUI-64 as `0x` and 16 lower-case hex digits."""
    return "0x" + str(ieee).replace(":", "").lower()


def lqi_of(device: Any) -> int | None:  # noqa: ANN401 - zigpy is untyped here
    """Return the link quality of the last hop of a zigpy device's last frame."""
    return None if device.lqi is None else int(device.lqi)


def _all_candidates(device: Any) -> Sequence[AttributeCandidate]:  # noqa: ANN401 - zigpy is untyped here
    """Return all attributes of a zigpy device that may be measurements."""
    return zcl.find_candidates(
        {endpoint.endpoint_id: list(endpoint.in_clusters) for endpoint in device.non_zdo_endpoints}
    )


class StandardDevice(msgspec.Struct, frozen=True):
    """A device without quirks, whose reports can be decoded without zigpy.

    Attributes:
        device: zigpy's device.
        ieee: Its address.
        measures: Its candidates by endpoint and cluster, then by attribute.
    """

    device: Any
    ieee: str
    measures: Mapping[tuple[int, int], Mapping[int, AttributeCandidate]]


class AttributeDecoder:
    """Decodes the reports of every device that zigpy loads or interviews."""

    def __init__(
        self,
        on_value: OnValue,
        *,
        on_device: Callable[[Any, str], None] = lambda _device, _ieee: None,
        community_resolver: Callable[[Any], Any] | None = None,
    ) -> None:
        """Store the callbacks.

        Args:
            on_value: Called for each value, in the order in which the stick delivers them.
            on_device: Called with each device and its address, before it is initialised.
            community_resolver: Resolver of the community's device table, which is applied first.
        """
        self._on_value = on_value
        self._on_device = on_device
        self._community_resolver = community_resolver
        self._standard = BoundedTable[str, StandardDevice](SENSORS_MAX)
        self._corrected: set[str] = set()

    def resolve(self, device: Any) -> Any:  # noqa: ANN401
        """Subscribe to a device's clusters; zigpy calls this once for each device, before it is initialised."""
        ieee = format_ieee(device.ieee)
        if self._community_resolver is not None:
            raw, device = device, self._community_resolver(device)
            if device is not raw:
                self._corrected.add(ieee)
        self._on_device(device, ieee)
        quirk = self.quirk(device)
        for endpoint in device.non_zdo_endpoints:
            if quirk.has_voc_index and zcl.IKEA_VOC in endpoint.in_clusters:
                endpoint.add_input_cluster(zcl.IKEA_VOC, IkeaVocIndex(endpoint, is_server=True))
            if quirk.points and vendor_quirks.TUYA in endpoint.in_clusters:
                endpoint.in_clusters[vendor_quirks.TUYA].add_listener(_TuyaListener(self, device, ieee, quirk))
            if quirk.has_aqara_struct and BASIC in endpoint.in_clusters:
                self._subscribe_aqara(endpoint.in_clusters[BASIC], device, ieee)
        measures: dict[tuple[int, int], dict[int, AttributeCandidate]] = {}
        for each in self.candidates(device):
            measures.setdefault((each.endpoint, each.cluster), {})[each.attribute] = each
            self._subscribe(device, ieee, each)
        # A community quirk corrects values inside zigpy.
        if self._community_resolver is None and not quirk.reports_by_itself:
            self._standard.put(ieee, StandardDevice(device, ieee, measures))
        return device

    def is_corrected(self, device: Any) -> bool:  # noqa: ANN401
        """Return whether the community's table corrects a zigpy device."""
        return format_ieee(device.ieee) in self._corrected

    def quirk(self, device: Any) -> VendorQuirk:  # noqa: ANN401
        """Return how a zigpy device deviates from the standard, after the community's corrections."""
        if format_ieee(device.ieee) in self._corrected:
            return _SELF_REPORTING if device.skip_configuration else vendor_quirks.STANDARD
        return vendor_quirks.find_quirk(device.manufacturer or "", device.model or "")

    def model_note(self, device: Any) -> str:  # noqa: ANN401
        """Return a note about a zigpy device's model for people; empty for an ordinary model."""
        has_points = any(vendor_quirks.TUYA in endpoint.in_clusters for endpoint in device.non_zdo_endpoints)
        is_known = self.quirk(device).points or format_ieee(device.ieee) in self._corrected
        return vendor_quirks.NOT_IN_TABLE if has_points and not is_known else ""

    def candidates(self, device: Any) -> Sequence[AttributeCandidate]:  # noqa: ANN401
        """Return the candidates of a zigpy device, without kinds that its vendor reports in another way."""
        return zcl.separate_dummies(_all_candidates(device), self.quirk(device).kinds)[0]

    def dummies(self, device: Any) -> Sequence[AttributeCandidate]:  # noqa: ANN401
        """Return the attributes that are ignored because the vendor reports their kind in another way."""
        return zcl.separate_dummies(_all_candidates(device), self.quirk(device).kinds)[1]

    def kinds(self, device: Any) -> Sequence[SensorKind]:  # noqa: ANN401
        """Return the kinds that a zigpy device may measure, by its clusters; set-up finds which of them answer."""
        kinds = [each.channel.kind for each in self.candidates(device)]
        return tuple(dict.fromkeys((*kinds, *self.quirk(device).kinds)))

    def standard_device(self, device: Any) -> StandardDevice | None:  # noqa: ANN401
        """Return the candidates of a zigpy device without quirks; `None` for a device with quirks."""
        standard = self._standard.get(format_ieee(device.ieee))
        return standard if standard is not None and standard.device is device else None

    def publish_raw(self, ieee: str, candidate: AttributeCandidate, raw: float, lqi: int | None) -> None:
        """Publish a raw value, unless it is a marker of no value."""
        value = zcl.convert(candidate.measure, raw)
        if value is not None:
            self._on_value(ieee, candidate.channel, value, lqi)

    def publish_vendor_value(self, device: Any, ieee: str, protocol: str, kind: SensorKind, value: float) -> None:  # noqa: ANN401
        """Publish a value received in a vendor's protocol."""
        self._on_value(ieee, SensorChannel(f"{protocol}/{kind}", kind), value, lqi_of(device))

    def _subscribe(self, device: Any, ieee: str, candidate: AttributeCandidate) -> None:  # noqa: ANN401
        cluster = device.endpoints[candidate.endpoint].in_clusters[candidate.cluster]

        def on_event(event: Any) -> None:  # noqa: ANN401
            if event.attribute_id == candidate.attribute:
                value = zcl.convert(candidate.measure, event.value)
                if value is not None:
                    self._on_value(ieee, candidate.channel, value, lqi_of(device))

        # A quirk that corrects a value turns the report into an update.
        cluster.on_event("attribute_report", on_event)
        cluster.on_event("attribute_updated", on_event)

    def _subscribe_aqara(self, cluster: Any, device: Any, ieee: str) -> None:  # noqa: ANN401
        def on_event(event: Any) -> None:  # noqa: ANN401
            if event.attribute_id != vendor_quirks.AQARA_ATTRIBUTE:
                return
            raw = getattr(event.raw_value, "raw", event.raw_value)
            if isinstance(raw, bytes):
                for kind, value in vendor_quirks.aqara_values(raw):
                    self.publish_vendor_value(device, ieee, "struct", kind, value)

        cluster.on_event("attribute_report", on_event)


class _TuyaListener:
    """A zigpy listener on the Tuya cluster, whose data points zigpy does not decode."""

    def __init__(self, decoder: AttributeDecoder, device: Any, ieee: str, quirk: VendorQuirk) -> None:  # noqa: ANN401
        self._decoder = decoder
        self._device = device
        self._ieee = ieee
        self._quirk = quirk

    def cluster_command(self, _tsn: int, command: int, arguments: object) -> None:
        """Decode a command of the Tuya cluster."""
        if command in vendor_quirks.TUYA_REPORTS and isinstance(arguments, bytes):
            for kind, value in vendor_quirks.tuya_values(self._quirk, arguments):
                self._decoder.publish_vendor_value(self._device, self._ieee, "tuya", kind, value)
