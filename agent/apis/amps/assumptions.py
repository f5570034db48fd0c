"""What Amps' documentation leaves open, and what this hub answers instead: each assumption with its reason.

If Amps publishes one of these facts, this file changes and no other.
"""

VALIDATION_ERROR = "VALIDATION_ERROR"
"""400. The pages list the status without a name; the reader of the contract chose this one."""

ACTION_NOT_FOUND = "ACTION_NOT_FOUND"
"""404. By analogy with DEVICE_NOT_FOUND, which is documented."""

NOT_FOUND = "NOT_FOUND"
METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
"""404, 405, 408, 413 and 503 have no documented names: each is the status' own phrase."""

REQUESTS_PER_MINUTE_MAX = 120
"""For each key. No number is published; a client that looks every second still has room to push."""

PAGE_ITEMS = 50
PAGE_ITEMS_MAX = 100
"""Of `GET /actions`. "meta carries pagination" without names: `limit` and `cursor` are asked for, and `meta.limit`,
`meta.hasMore` and `meta.nextCursor` answer, as in most APIs that page by cursor."""

# Relative times count from the receipt of the push, also those of `end`: one rule for one form. A client that meant the
# length of the window gets INVALID_TIME_WINDOW, or a shorter window than it meant, never a longer one.

MISSING_PARAMETER = "missing_parameter"
UNKNOWN_FIELD = "unknown_field"
MALFORMED = "malformed"
"""Values of `details.reason` with VALIDATION_ERROR. Every declared parameter is required: a hold without a target has
no meaning."""

BAND_TOO_NARROW = "band_too_narrow"
"""`details.reason` with PARAMETER_OUT_OF_RANGE of `coolSetpoint`. A band needs its lower end below its upper one, and
the hub keeps both apart so that it does not heat and cool in turn."""

END_WITHOUT_START = "end_without_start"
END_NOT_AFTER_START = "end_not_after_start"
END_OUT_OF_RANGE = "end_out_of_range"
TIME_NOT_UNDERSTOOD = "time_not_understood"
"""Values of `details.reason` with INVALID_TIME_WINDOW; the field is documented, its values are not."""

HORIZON_DAYS = 30
"""Documented for `start`. `end` may be as far behind `start`: no page bounds it."""

TOO_MANY = "too_many"
"""`details.reason` with CONFLICT where as many actions wait as a zone may have. `no_strategy_supplied` is documented;
`in_flight` and `no_end` (`agent.home.action_admission`) name cases that the pages describe without a value."""

VENDOR = "climahub"
HUB_MODEL = "climahub zone"
TWIN_MODEL = "climahub zone (simulated)"
"""`vendor` and `metadata.model` are free texts."""

# `state.mode` of a zone that is switched off is `off`, as in the older API. The samples show heat, cool and auto only.

# The fields of `sandbox` are not published for HVAC (`wire.SandboxOptions`). `forceState` is `completed`, `failed` (the
# action fails with `errorCode`, one of the device's) or `refused` (the push itself is answered with `errorCode`).

FAILURE_OF_LATE_ACTIONS = "TIMEOUT"
FAILURE_OF_OTHER_ACTIONS = "UNKNOWN_ERROR"
"""`errorCode` of an action that failed at the hub. The documented codes name what a maker's cloud may say; a hub has
no cloud between itself and its zone."""
