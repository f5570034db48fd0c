"""Where the published pages of AURRA Home say nothing: what this hub does, and for what reason.

The one place for it: nothing else in this package rests on a guess.
"""

AUTO_HALF_BAND_F = 2
"""`auto` takes one number, a thermostat needs two: heat 2 °F below it and cool 2 °F above it. The control of the hub
keeps heating and cooling at least 1.8 °F apart."""

DEVICE_ALIAS = "aurra_{number:03d}"
"""The published snippets name `aurra_001`, and no call lists devices: besides its id, a zone answers to its place in
the configuration in this form."""

SCOPE_PARAMETER = "scope"
"""The handout says that scopes are passed when a token is made, but shows no field: that of OAuth 2.0, separated by
spaces (RFC 6749, section 3.3). Without it a token has all scopes of its client."""

OTHER_ERRORS = "INVALID_REQUEST"
"""The code of errors that the table of codes leaves out (404 for an unknown path, 405, 408, 413): the only documented
one that says that the request has to be changed."""

ECO_HEAT_LIMIT_F = 62
ECO_COOL_LIMIT_F = 78
"""Documented defaults. A call without limits sets these, whatever limits were set before: the page calls them the
default of the field."""

DIAGNOSTICS_ENDPOINT = "diag"
"""Documented value of `X-RateLimit-Endpoint`. On these calls `-Limit`, `-Remaining` and `-Reset` are those of the
diagnostics limit, which is the smaller one. `-Reset` counts seconds: the hub may not know the time of day."""

OUTDOOR_C = 0.0
"""Without an outdoor sensor `projected_savings` assumes this temperature outside and a loss proportional to the
difference: the colder it is outside, the smaller the share that a lower setpoint saves, so this understates savings."""

ALERT_THRESHOLD = 0.72
"""Documented threshold of the platform. An alert from this confidence on is shown to people at the hub."""
