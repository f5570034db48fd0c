import sys
import zoneinfo
from collections.abc import Iterator

import pytest

from lab.refcloud.validation import is_time_zone

NO_NAMES = ["", "../../etc/passwd", "/etc/localtime", "Europe/", "a b", "Zürich", "Europe/Zurich\n"]


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the time zone database, and without the package that brings one."""
    for package in ("tzdata", "tzdata.zoneinfo"):
        monkeypatch.setitem(sys.modules, package, None)
    zoneinfo.reset_tzpath([])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize("name", ["UTC", "Europe/Zurich", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_iana_time_zones_are_valid(name: str) -> None:
    assert is_time_zone(name)


@pytest.mark.parametrize("name", [*NO_NAMES, "Mars/Olympus_Mons", "America"])
def test_other_names_are_invalid(name: str) -> None:
    assert not is_time_zone(name)


@pytest.mark.usefixtures("no_database")
def test_form_decides_without_a_time_zone_database() -> None:
    assert is_time_zone("UTC")
    assert is_time_zone("Mars/Olympus_Mons")
    assert not any(is_time_zone(name) for name in NO_NAMES)
