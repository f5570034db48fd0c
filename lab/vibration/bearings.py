"""Rolling bearings: their geometry, and the frequencies at which a defect on each part is struck.

A pure file. The formulas are those of every textbook on bearing diagnostics, among them Randall and Antoni, "Rolling
element bearing diagnostics - a tutorial", Mechanical Systems and Signal Processing 25 (2011), equations 1 to 4. They
assume an outer ring that stands still and rolling without slip; real bearings slip by 1 to 2 % (section 2.1 there).
"""

import enum
import math
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from agent.errors import Rejected

ELEMENTS_MIN, ELEMENTS_MAX = 3, 60
ANGLE_MAX_DEG = 60.0


class Part(enum.StrEnum):
    """A part of a bearing whose defect has a frequency of its own."""

    OUTER_RACE = "outer race"
    INNER_RACE = "inner race"
    ROLLING_ELEMENT = "rolling element"


class Bearing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The geometry of a bearing.

    Attributes:
        name: Its type, or how it was given.
        elements: Number of balls or rollers in a row.
        element_diameter: In the unit of ``pitch_diameter``; only their ratio counts.
        pitch_diameter: Of the circle through the centres of the elements.
        contact_angle_deg: 0 for deep-groove ball bearings.
        source: Where the geometry was published; empty for one that was given.
    """

    name: str
    elements: int
    element_diameter: float
    pitch_diameter: float
    contact_angle_deg: float = 0.0
    source: str = ""

    @property
    def _ratio(self) -> float:
        return self.element_diameter / self.pitch_diameter * math.cos(math.radians(self.contact_angle_deg))

    @property
    def cage_order(self) -> float:
        """FTF, the revolutions of the cage in one revolution of the shaft."""
        return (1 - self._ratio) / 2

    @property
    def spin_order(self) -> float:
        """BSF, the revolutions of an element in one of the shaft. A defect on it strikes a race twice in each."""
        return self.pitch_diameter / self.element_diameter * (1 - self._ratio**2) / 2

    def order(self, part: Part) -> float:
        """Return how often a defect on the part is struck in one revolution of the shaft (BPFO, BPFI, 2 x BSF)."""
        match part:
            case Part.OUTER_RACE:
                return self.elements * (1 - self._ratio) / 2
            case Part.INNER_RACE:
                return self.elements * (1 + self._ratio) / 2
            case Part.ROLLING_ELEMENT:
                return 2 * self.spin_order

    def sideband_order(self, part: Part) -> float:
        """Return how often the part passes through the load zone in one revolution of the shaft; 0 for one at rest."""
        match part:
            case Part.OUTER_RACE:
                return 0.0
            case Part.INNER_RACE:
                return 1.0
            case Part.ROLLING_ELEMENT:
                return self.cage_order


_CWRU = "Case Western Reserve University Bearing Data Center, bearing information"
KNOWN: Mapping[str, Bearing] = MappingProxyType(
    {
        bearing.name: bearing
        for bearing in (
            Bearing("6205-2RS", 9, 0.3126, 1.537, source=f"{_CWRU}: drive end, inches"),
            Bearing("6203-2RS", 8, 0.2656, 1.122, source=f"{_CWRU}: fan end, inches"),
            Bearing("NICE", 8, 0.235, 1.245, source="MFPT Society, bearing fault data sets, inches"),
            Bearing("ZA-2115", 16, 0.331, 2.815, 15.17, "NASA IMS bearing data set, Qiu et al. 2006, inches"),
            Bearing("UER204", 8, 7.92, 34.55, source="XJTU-SY bearing data sets, Wang et al. 2018, millimetres"),
            Bearing("6804", 13, 3.5, 25.6, source="FEMTO-ST PRONOSTIA, Nectoux et al. 2012, millimetres"),
        )
    }
)
"""Types whose inner geometry was published. Makers of one type differ, also in the number of elements: where the maker
is another, give the maker's own figures."""

_SUFFIXES = ("-2RS", "-2Z", "-ZZ", "-2RSH", "-2RS1", "-RS", "-Z", "2RS", "ZZ", "JEM")


def find_bearing(text: str) -> Bearing:
    """Return the bearing that a person named: a known type, or "ELEMENTS,DIAMETER,PITCH[,ANGLE]".

    Args:
        text: Such as "6205-2RS", "6205" or "9,7.94,39.04,0"; both diameters in the same unit.

    Raises:
        Rejected: The type is unknown, or the geometry is not one of a bearing.
    """
    if "," not in text:
        return _known(text)
    fields = [field.strip() for field in text.split(",")]
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 4) or not all(math.isfinite(number) for number in numbers):
        raise Rejected(f"give a bearing as ELEMENTS,DIAMETER,PITCH[,ANGLE], such as 9,7.94,39.04,0; found {text}")
    elements, diameter, pitch, *angle = numbers
    if elements != int(elements) or not ELEMENTS_MIN <= elements <= ELEMENTS_MAX:
        raise Rejected(
            f"the first number of a bearing is how many balls it has, {ELEMENTS_MIN} to {ELEMENTS_MAX}: {text}"
        )
    bearing = Bearing(text, int(elements), diameter, pitch, angle[0] if angle else 0.0)
    if not 0 < diameter < pitch or not 0 <= bearing.contact_angle_deg <= ANGLE_MAX_DEG:
        raise Rejected(
            f"check the bearing {text}: an element is smaller than the pitch circle, and the contact angle is 0 to"
            f" {ANGLE_MAX_DEG:g} degrees"
        )
    return bearing


def _known(text: str) -> Bearing:
    wanted = _stem(text)
    for name, bearing in KNOWN.items():
        if _stem(name) == wanted:
            return bearing
    raise Rejected(
        f"the geometry of a bearing {text} is not known here: give ELEMENTS,DIAMETER,PITCH[,ANGLE] of the maker's"
        f" sheet; known are {', '.join(KNOWN)}"
    )


def _stem(name: str) -> str:
    stem = name.upper().replace(" ", "-")
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        stem = stem.removesuffix(suffix).rstrip("-")
    return stem.replace("-", "")
