"""Numbers of the command line."""

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
            bounds = "" if self.min is None and self.max is None else f", {self._describe_range()}"
            self.fail(f"found {value}; allowed is a finite number{bounds}", param, ctx)
        return super().convert(number, param, ctx)
