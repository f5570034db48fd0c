"""Words that every message needs, whichever layer says it. Pure."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 reading", "2,500 readings"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
