"""Degrees Celsius and Fahrenheit of setpoints: the only conversions of the hub. Pure.

The hub keeps what was requested as an unrounded float in degrees Celsius, and rounds only where an API shows it. So a
value that was requested in whole degrees Fahrenheit or in tenths of a degree Celsius is shown as it was requested. A
client that writes back what it was shown must change nothing: 21 °C is shown as 70 °F, and 70 °F alone would be
21.1 °C. `from_fahrenheit` and `from_tenths` take the present setpoint for this reason.
"""

_K_PER_F = 5 / 9
_ZERO_C_F = 32


def fahrenheit(value_c: float) -> float:
    """Return a temperature in degrees Fahrenheit, unrounded."""
    return value_c / _K_PER_F + _ZERO_C_F


def to_fahrenheit(value_c: float) -> int:
    """Return a temperature in whole degrees Fahrenheit, halves to the even number."""
    return round(fahrenheit(value_c))


def to_fahrenheit_hundredths(value_c: float) -> float:
    """Return a temperature in degrees Fahrenheit, to the hundredth: exact for what was requested that exactly."""
    return round(fahrenheit(value_c), 2)


def from_fahrenheit(value_f: float, present_c: float | None = None) -> float:
    """Return a temperature in degrees Celsius.

    Args:
        value_f: As a client wrote it.
        present_c: The present setpoint. It is returned where the client was shown the same number.
    """
    if present_c is not None and to_fahrenheit(present_c) == value_f:
        return present_c
    return (value_f - _ZERO_C_F) * _K_PER_F


def to_tenths(value_c: float) -> float:
    """Return a temperature in tenths of a degree Celsius."""
    return round(value_c, 1)


def from_tenths(value_c: float, present_c: float | None = None) -> float:
    """Return a temperature in degrees Celsius, unrounded.

    Args:
        value_c: As a client wrote it.
        present_c: The present setpoint. It is returned where the client was shown the same number.
    """
    return present_c if present_c is not None and to_tenths(present_c) == value_c else value_c
