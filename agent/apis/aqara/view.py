"""What one client sees of the home, and what it may change: the services behind the seven request types.

A client that is limited to zones sees these, their sensors and the spaces that they are in; what it may not see is
answered as unknown. Must never set a trait without reading it back.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property

from agent.apis.aqara import commands, devices, traits
from agent.apis.aqara.assumptions import FIRST_ENDPOINT, NO_SUCH_TRAIT_CODE, READ_ONLY_CODE
from agent.apis.aqara.traits import TraitForm, ValueInvalid
from agent.apis.aqara.wire import Code, CommandItem, Endpoint, FailedItem, SpaceNode, WireDevice, failed_item
from agent.apis.face import ApiClient
from agent.climate.model import Mode
from agent.errors import SettingInvalid, UnknownDevice
from agent.home.devices import DeviceKind, HomeDevice
from agent.home.home import Home
from agent.home.spaces import SpaceTree
from agent.home.thermostat import Thermostat


class ItemRefused(Exception):
    """One item of a batch that cannot be carried out.

    Attributes:
        code: Of the item.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class PowerMemory:
    """The mode of each zone before it was switched off through this API. After a restart it is unknown."""

    def __init__(self) -> None:
        self._modes: dict[str, Mode] = {}

    def mode_of(self, zone_id: str) -> Mode | None:
        """Return the mode that a zone had; `None` where that is unknown."""
        return self._modes.get(zone_id)

    def note(self, thermostat: Thermostat) -> None:
        """Remember the mode of a zone that is about to be switched off."""
        if thermostat.mode is not Mode.OFF:
            self._modes[thermostat.zone_id] = thermostat.mode


class HomeView:
    """The home as one client sees it, at the instant of one request."""

    def __init__(
        self,
        home: Home,
        tree: SpaceTree,
        client: ApiClient,
        *,
        frost_c: float,
        names_follow_spaces: bool,
        power: PowerMemory,
        utc_ms: Callable[[], int | None],
    ) -> None:
        """Look at the home.

        Args:
            home: The home.
            tree: Its spaces.
            client: Who looks.
            frost_c: Below this a zone is heated whatever its mode.
            names_follow_spaces: A zone has the name of the space that it is in.
            power: Remembers modes.
            utc_ms: Returns the present time; `None` while it is unknown.
        """
        self._home = home
        self._tree = tree
        self._client = client
        self._frost_c = frost_c
        self._names_follow_spaces = names_follow_spaces
        self._power = power
        self._utc_ms = utc_ms

    @cached_property
    def _devices(self) -> Mapping[str, HomeDevice]:
        """All devices that the client sees, by id. Looked at late: clients ask for spaces to see whether we answer."""
        return {device.device_id: device for device in self._home.devices.all() if self._may_see(device)}

    @property
    def device_ids(self) -> Collection[str]:
        """The ids of all devices that the client sees."""
        return self._devices.keys()

    @property
    def sees_all(self) -> bool:
        """Whether the client is not limited to zones."""
        return not self._client.zones

    def wire_devices(self) -> tuple[WireDevice, ...]:
        """Return the device list."""
        names = devices.distinct_names({each.device_id: self._name(each) for each in self._devices.values()})
        return tuple(
            devices.wire_device(
                device, self._endpoints(device), names[device.device_id], self._tree.space_of(device.device_id)
            )
            for device in self._devices.values()
        )

    def space_nodes(self) -> tuple[SpaceNode, ...]:
        """Return the tree of spaces."""
        visible = set(self._tree.spaces)
        if not self.sees_all:
            visible = set()
            for device_id in self._devices:
                space = self._tree.space_of(device_id)
                while space is not None and space.space_id not in visible:
                    visible.add(space.space_id)
                    space = self._tree.spaces.get(space.parent_id or "")
        return devices.space_nodes(self._tree, frozenset(visible))

    def execute(self, item: CommandItem, by: str) -> FailedItem | None:
        """Set one trait and read it back; return the failure, or `None` where it has the value.

        Args:
            item: What to set.
            by: The name of the caller.
        """
        try:
            self._execute(item, by)
        except ItemRefused as error:
            return failed_item(item, error.code, str(error))
        return None

    def _execute(self, item: CommandItem, by: str) -> None:
        thermostat, form = self._find(item)
        try:
            value = traits.read_value(form, item.value)
            requests = commands.plan(thermostat, form, value, mode_when_on=self._power.mode_of(thermostat.zone_id))
            self._power.note(thermostat)
            self._home.thermostats.apply_all(thermostat.zone_id, requests, by=by)
        except (ValueInvalid, SettingInvalid) as error:
            raise ItemRefused(Code.INVALID, str(error)) from error
        found = commands.read_trait(self._home.thermostats.get(thermostat.zone_id), form)
        if found != value:
            text = f"look at the hub's page: {form.code} of {thermostat.name} is {found}, something else holds it"
            raise ItemRefused(Code.INVALID, text)

    def _find(self, item: CommandItem) -> tuple[Thermostat, TraitForm]:
        """Return the zone and the trait that an item names.

        Raises:
            ItemRefused: There is none, or the trait can only be read.
        """
        device = self._devices.get(item.device_id)
        if device is None:
            raise ItemRefused(Code.DEVICE_NOT_FOUND, "read the device list again: there is no such device")
        place = (item.endpoint_id, item.function_code, item.trait_code)
        if device.kind is DeviceKind.ZONE and item.endpoint_id == FIRST_ENDPOINT:
            thermostat = self._thermostat(device.device_id)
            for form in devices.writable_forms(thermostat):
                if (form.function, form.code) == place[1:]:
                    return thermostat, form
        known = {
            (endpoint.endpoint_id, function.function_code, trait.trait_code)
            for endpoint in self._endpoints(device)
            for function in endpoint.functions
            for trait in function.traits
        }
        if place in known:
            raise ItemRefused(READ_ONLY_CODE, f"choose another trait: {item.trait_code} can only be read")
        raise ItemRefused(NO_SUCH_TRAIT_CODE, "read the device list again: the device has no such trait there")

    def _thermostat(self, zone_id: str) -> Thermostat:
        try:
            return self._home.thermostats.get(zone_id)
        except UnknownDevice as error:
            raise ItemRefused(Code.DEVICE_NOT_FOUND, str(error)) from error

    def _may_see(self, device: HomeDevice) -> bool:
        if self.sees_all:
            return True
        if device.kind is DeviceKind.ZONE:
            return self._client.may_see(device.device_id)
        zones = [each for each in self._home.thermostats.all() if self._client.may_see(each.zone_id)]
        sensors = {name for each in zones for name in each.sensors}
        return device.kind is DeviceKind.SENSOR and not sensors.isdisjoint({device.name, device.device_id})

    def _name(self, device: HomeDevice) -> str:
        space = self._tree.space_of(device.device_id)
        follows = self._names_follow_spaces and device.kind is DeviceKind.ZONE and space is not None
        return space.name if follows and space else device.name

    def _endpoints(self, device: HomeDevice) -> tuple[Endpoint, ...]:
        if device.kind is DeviceKind.ZONE:
            thermostat = self._thermostat(device.device_id)
            return devices.zone_endpoints(device, thermostat, self._frost_c, self._utc_ms())
        return devices.measuring_endpoints(device, self._utc_ms())
