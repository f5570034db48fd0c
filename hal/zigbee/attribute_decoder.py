"""What zigpy's devices say, turned into values: sits behind zigpy's device resolver and listens to their clusters.

Which attributes count is decided in `hal.zigbee.clusters`, what makers do otherwise in `hal.zigbee.vendor_quirks`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, ZCLAttributeAccess, ZCLAttributeDef

from hal.interface import SensorKind
from hal.zigbee import clusters, vendor_quirks
from hal.zigbee.clusters import AttributeCandidate, SensorChannel
from hal.zigbee.vendor_quirks import VendorQuirk

OnValue = Callable[[str, SensorChannel, float, int | None], None]
"""IEEE address, source, value, link quality of the last hop."""

BASIC = 0x0000

QUIET = VendorQuirk("corrected by a quirk", reports_by_itself=True)
IKEA_MANUFACTURER = 0x117C


class IkeaVocIndex(Cluster):
    """IKEA's own cluster of the VOC index, so that its reporting can be configured."""

    cluster_id = t.uint16_t(clusters.IKEA_VOC)  # type: ignore[no-untyped-call]
    name: Final = "VOC index"
    ep_attribute = "voc_index"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Its one attribute."""

        measured_value: Final = ZCLAttributeDef(
            id=t.uint16_t(clusters.MEASURED_VALUE),  # type: ignore[no-untyped-call]
            type=t.Single,
            access=ZCLAttributeAccess.Read | ZCLAttributeAccess.Report,
            manufacturer_code=t.uint16_t(IKEA_MANUFACTURER),  # type: ignore[no-untyped-call]
        )


def address(ieee: object) -> str:
    """Return zigpy's EUI-64 as the agent writes it: `0x` and 16 lower-case hex digits."""
    return "0x" + str(ieee).replace(":", "").lower()


def lqi_of(device: Any) -> int | None:  # noqa: ANN401 - zigpy is untyped here
    """Return the link quality of the last hop when a zigpy device was heard last."""
    return None if device.lqi is None else int(device.lqi)


def candidates_of(device: Any) -> Sequence[AttributeCandidate]:  # noqa: ANN401 - zigpy is untyped here
    """Return what may be taken of a zigpy device."""
    return clusters.candidates(
        {endpoint.endpoint_id: list(endpoint.in_clusters) for endpoint in device.non_zdo_endpoints}
    )


class StandardDevice(msgspec.Struct, frozen=True):
    """A device that keeps to the standard: what its reports mean, by endpoint and cluster, then by attribute.

    Attributes:
        device: zigpy's.
        ieee: Its address.
        measures: Where each value comes from, and how it is read.
    """

    device: Any
    ieee: str
    measures: Mapping[tuple[int, int], Mapping[int, AttributeCandidate]]


class AttributeDecoder:
    """Listens to every device that zigpy loads or interviews."""

    def __init__(self, heard: OnValue, *, then: Callable[[Any], Any] | None = None) -> None:
        """Prepare.

        Args:
            heard: Told of each value, in the order in which the stick delivers them.
            then: Another resolver that comes first, such as that of a table of quirks.
        """
        self._heard = heard
        self._first = then
        self._plain: dict[str, StandardDevice] = {}
        self._corrected: set[str] = set()

    def resolve(self, device: Any) -> Any:  # noqa: ANN401
        """Listen to a device; zigpy calls this once for each, before it knows the device as initialised."""
        ieee = address(device.ieee)
        if self._first is not None:
            raw, device = device, self._first(device)
            if device is not raw:
                self._corrected.add(ieee)
        maker = self.maker(device)
        for endpoint in device.non_zdo_endpoints:
            if maker.has_voc_index and clusters.IKEA_VOC in endpoint.in_clusters:
                endpoint.add_input_cluster(clusters.IKEA_VOC, IkeaVocIndex(endpoint, is_server=True))
            if maker.points and vendor_quirks.TUYA in endpoint.in_clusters:
                endpoint.in_clusters[vendor_quirks.TUYA].add_listener(_TuyaEar(self, device, ieee, maker))
            if maker.has_aqara_struct and BASIC in endpoint.in_clusters:
                self._listen_for_struct(endpoint.in_clusters[BASIC], device, ieee)
        measures: dict[tuple[int, int], dict[int, AttributeCandidate]] = {}
        for each in self.candidates(device):
            measures.setdefault((each.endpoint, each.cluster), {})[each.attribute] = each
            self._listen(device, ieee, each)
        # What a quirk does to a value only zigpy knows.
        if self._first is None and not maker.reports_by_itself:
            self._plain[ieee] = StandardDevice(device, ieee, measures)
        return device

    def is_corrected(self, device: Any) -> bool:  # noqa: ANN401
        """Tell whether a quirk has taken a zigpy device over."""
        return address(device.ieee) in self._corrected

    def maker(self, device: Any) -> VendorQuirk:  # noqa: ANN401
        """Return how a zigpy device differs from the standard; one that a quirk has corrected does not."""
        if address(device.ieee) in self._corrected:
            return QUIET if device.skip_configuration else vendor_quirks.STANDARD
        return vendor_quirks.find_quirk(device.manufacturer or "", device.model or "")

    def note(self, device: Any) -> str:  # noqa: ANN401
        """Return what people are told of a zigpy device's model; empty where it is nothing special."""
        has_points = any(vendor_quirks.TUYA in endpoint.in_clusters for endpoint in device.non_zdo_endpoints)
        is_known = self.maker(device).points or address(device.ieee) in self._corrected
        return vendor_quirks.NOT_IN_TABLE if has_points and not is_known else ""

    def candidates(self, device: Any) -> Sequence[AttributeCandidate]:  # noqa: ANN401
        """Return what may be taken of a zigpy device: not where its maker has a way of its own."""
        return clusters.split(candidates_of(device), self.maker(device).kinds)[0]

    def dummies(self, device: Any) -> Sequence[AttributeCandidate]:  # noqa: ANN401
        """Return what is not believed of a zigpy device, because its maker has a way of its own for the kind."""
        return clusters.split(candidates_of(device), self.maker(device).kinds)[1]

    def kinds(self, device: Any) -> Sequence[SensorKind]:  # noqa: ANN401
        """Return what a zigpy device may measure, each kind once: by what it lists, before it has answered."""
        kinds = [each.channel.kind for each in self.candidates(device)]
        return tuple(dict.fromkeys((*kinds, *self.maker(device).kinds)))

    def plain(self, device: Any) -> StandardDevice | None:  # noqa: ANN401
        """Return what the plain reports of a zigpy device mean; `None` for one that leaves the standard."""
        plain = self._plain.get(address(device.ieee))
        return plain if plain is not None and plain.device is device else None

    def raw(self, ieee: str, candidate: AttributeCandidate, raw: float, lqi: int | None) -> None:
        """Pass a raw value on, unless it says that there is none."""
        value = clusters.convert(candidate.measure, raw)
        if value is not None:
            self._heard(ieee, candidate.channel, value, lqi)

    def by_maker(self, device: Any, ieee: str, way: str, kind: SensorKind, value: float) -> None:  # noqa: ANN401
        """Pass a value on that came in its maker's own way."""
        self._heard(ieee, SensorChannel(f"{way}/{kind}", kind), value, lqi_of(device))

    def _listen(self, device: Any, ieee: str, candidate: AttributeCandidate) -> None:  # noqa: ANN401
        cluster = device.endpoints[candidate.endpoint].in_clusters[candidate.cluster]

        def told(event: Any) -> None:  # noqa: ANN401
            if event.attribute_id == candidate.attribute:
                value = clusters.convert(candidate.measure, event.value)
                if value is not None:
                    self._heard(ieee, candidate.channel, value, lqi_of(device))

        # A quirk that corrects a value makes an update of the report.
        cluster.on_event("attribute_report", told)
        cluster.on_event("attribute_updated", told)

    def _listen_for_struct(self, cluster: Any, device: Any, ieee: str) -> None:  # noqa: ANN401
        def told(event: Any) -> None:  # noqa: ANN401
            if event.attribute_id != vendor_quirks.AQARA_ATTRIBUTE:
                return
            raw = getattr(event.raw_value, "raw", event.raw_value)
            if isinstance(raw, bytes):
                for kind, value in vendor_quirks.aqara_values(raw):
                    self.by_maker(device, ieee, "struct", kind, value)

        cluster.on_event("attribute_report", told)


class _TuyaEar:
    """A zigpy listener on the Tuya cluster, whose data points zigpy does not decode."""

    def __init__(self, ears: AttributeDecoder, device: Any, ieee: str, maker: VendorQuirk) -> None:  # noqa: ANN401
        self._ears = ears
        self._device = device
        self._ieee = ieee
        self._maker = maker

    def cluster_command(self, _tsn: int, command: int, arguments: object) -> None:
        """Take a command."""
        if command in vendor_quirks.TUYA_REPORTS and isinstance(arguments, bytes):
            for kind, value in vendor_quirks.tuya_values(self._maker, arguments):
                self._ears.by_maker(self._device, self._ieee, "tuya", kind, value)
