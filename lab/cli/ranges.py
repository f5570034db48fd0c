"""Ranges for options that are numbers: click's own, without "nan" and "inf". Pure."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of finite numbers. `click.FloatRange` takes "nan", which is outside no range, and "inf" above any."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        """Return the number.

        Raises:
            BadParameter: It is no number, not finite, or outside the range.
        """
        number: float = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"found {value}; allowed is a finite number, {self._describe_range()}", param, ctx)
        return super().convert(number, param, ctx)
