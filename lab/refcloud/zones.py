"""Tells whether a time zone exists. Must never fail on a machine without the time zone database."""

import re
import zoneinfo

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


def is_time_zone(name: str) -> bool:
    """Tell whether `name` is an IANA time zone; where the machine has no database, whether it looks like one."""
    if _NAME.fullmatch(name) is None:
        return False
    return _is_in_database(name) or not _is_in_database("UTC")


def _is_in_database(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # An OSError: a directory of the database, such as "America".
        return False
    return True
