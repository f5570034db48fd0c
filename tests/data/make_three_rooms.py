"""Writes `three-rooms-1day.csv`: a made-up day of three rooms, in the shape in which Zigbee sensors report.

Run `python tests/data/make_three_rooms.py > tests/data/three-rooms-1day.csv` from the root of the repository. The seed
is fixed, so the file is always the same; a test compares them.
"""

import math
import random
import sys
from datetime import UTC, datetime, timedelta

START = datetime(2024, 11, 5, 6, 0, 0, 250_000, tzinfo=UTC)
DAY_S = 86_400
ROOMS = {"kitchen": (20.5, 44.0), "bedroom": (17.8, 52.0), "bathroom": (21.9, 61.0)}
HEADER = [
    "time",
    *(f"{room}_{what}" for room in ROOMS for what in ("c", "rh", "battery", "dbm")),
    "pressure_hpa",
    "comment",
]


def recording_text() -> str:
    """Each sensor reports when it likes: every instant has the cells of those that spoke, the others are empty."""
    random_ = random.Random(20241105)
    rows: dict[datetime, dict[str, str]] = {}
    for room, (mean_c, mean_rh) in ROOMS.items():
        at_s = random_.uniform(0, 300)
        while at_s < DAY_S:
            swing = math.sin(2 * math.pi * (at_s / DAY_S - 0.1))
            cells = rows.setdefault(START + timedelta(milliseconds=round(at_s * 1000)), {})
            cells[f"{room}_c"] = f"{mean_c + 1.4 * swing + random_.gauss(0, 0.05):.2f}"
            if random_.random() < 0.8:
                cells[f"{room}_rh"] = f"{mean_rh - 4 * swing + random_.gauss(0, 0.4):.3f}"
            if random_.random() < 0.05:
                cells[f"{room}_battery"] = str(round(88 - 2 * at_s / DAY_S))
                cells[f"{room}_dbm"] = str(round(random_.gauss(-67, 4)))
            at_s += random_.uniform(300, 1200)
    for hour in range(24):
        at = START + timedelta(hours=hour)
        rows.setdefault(at, {})["pressure_hpa"] = f"{1013.2 - 0.31 * hour + random_.gauss(0, 0.05):.2f}"
    rows[START]["comment"] = "made up; see README.md"
    lines = [",".join(HEADER)]
    for at, cells in sorted(rows.items()):
        time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(",".join([time, *(cells.get(column, "") for column in HEADER[1:])]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(recording_text())
