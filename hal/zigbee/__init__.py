"""A Zigbee stick as a network of relayed sensors, on zigpy. Importing this package imports no zigpy."""

from hal.zigbee.network import ZigbeeNetwork
from hal.zigbee.options import FileStore, RadioContext, RadioOptions

__all__ = ["FileStore", "RadioContext", "RadioOptions", "ZigbeeNetwork"]
