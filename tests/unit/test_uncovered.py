"""What is marked `no_cover` runs without the coverage tracer, in the workers of pytest-xdist too."""

import sys

import pytest


@pytest.mark.no_cover
def test_no_tracer_runs() -> None:
    assert not type(sys.gettrace()).__module__.startswith("coverage")
