"""Facts of the Aqara Open API that its published page leaves open, each with the reason for what the hub does. Pure."""

from types import MappingProxyType
from typing import Final

ALL_FAILED_MIXED_CODE: Final = 400
"""The code of a batch of which nothing worked, for different reasons. Where all items failed alike, their code is the
batch's, so that a client sees 2030 and refreshes its cache."""

READ_ONLY_CODE: Final = 403
"""The code of an item whose trait cannot be written: "no right" fits, and no other code of the family does."""

NO_SUCH_TRAIT_CODE: Final = 404
"""The code of an item whose endpoint, function or trait the device does not have: 2030 would make a client refresh its
cache, which holds the device already."""

REQUESTS_PER_MINUTE_MAX: Final = 120
"""Of one client. No number is published, code 429 exists; a person who sets a home up sends some 20 a minute."""

ROOT_ENDPOINT: Final = 0
PUBLIC_ENDPOINT: Final = 1
FIRST_ENDPOINT: Final = 2
"""The numbering of devices in practice: 0 describes the device, 1 its supply, functional units follow."""

SETPOINT_STEP_K: Final = 0.5
"""The step of setpoints, as real thermostats of the family have it. A value between two steps is kept as asked."""

AIR_QUALITY_LIMITS: Final = ((50.0, "1"), (100.0, "2"), (150.0, "3"), (200.0, "4"))
"""The upper limits of the levels Excellent to Inferior, in the index 0 to 500 that the hub measures; above is Poor. The
index calls 0 to 50 excellent, to 100 good, to 150 lightly and to 200 moderately polluted."""

MODE_VALUES: Final = MappingProxyType({"cool": "0", "heat": "1", "auto": "2", "off": "12"})
"""The values of `HeaterCoolerMode` that a zone can have. Frost protection acts in each of them, so that 14 (AntiFreeze)
would be read back as 12 and is not offered."""
