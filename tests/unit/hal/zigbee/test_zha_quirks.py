"""The community's device table, imported as far as the met devices need it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hal.zigbee.zha_quirks import MatchingModules, QuirkTable, find_modules

SOURCES = (
    ("zhaquirks", b'GENERIC = "Generic"'),
    ("zhaquirks.xiaomi", b'LUMI = "LUMI"'),
    ("zhaquirks.xiaomi.weather", b'models = [(LUMI, "lumi.weather")]'),
    ("zhaquirks.xiaomi.plug", b"models = [(LUMI, 'lumi.plug')]"),
    ("zhaquirks.tuya.air", b'applies_to("_TZE200_a", "TS0601")'),
    ("zhaquirks.tuya.valve", b'applies_to("_TZE200_b", "TS0601")'),
    ("zhaquirks.tuya.ts0201", b"signature"),
    ("zhaquirks.legrand.outlet", b'(f" {LEGRAND}", " Cable outlet"); LEGRAND = "Legrand"'),
)


@pytest.mark.parametrize(
    ("manufacturer", "model", "named"),
    [
        ("LUMI", "lumi.weather", MatchingModules(("zhaquirks.xiaomi.weather",), ("zhaquirks.xiaomi",))),
        ("_TZE200_a", "TS0601", MatchingModules(("zhaquirks.tuya.air",), ("zhaquirks.tuya.valve",))),
        ("_TZE200_new", "TS0601", MatchingModules((), ("zhaquirks.tuya.air", "zhaquirks.tuya.valve"))),
        ("_TYZB01_a", "TS0201", MatchingModules((), ("zhaquirks.tuya.ts0201",))),
        (" Legrand", " Cable outlet", MatchingModules(("zhaquirks.legrand.outlet",))),
        ("LUMI", "lumi", MatchingModules((), ("zhaquirks.xiaomi",))),
        ("nobody", "nothing", MatchingModules()),
        ("", "", MatchingModules()),
    ],
)
def test_module_text_tells_its_devices(manufacturer: str, model: str, named: MatchingModules) -> None:
    assert find_modules(SOURCES, manufacturer, model) == named


class Registry:
    """What the modules of a made-up table have registered."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.registered: list[tuple[str, ...]] = []

    def register(self) -> None:
        self.known = {
            name for name, module in sys.modules.items() if name.startswith("zhaquirks.") and "IS_QUIRK" in vars(module)
        }
        self.registered.append(tuple(sorted(self.known)))

    def match_entry(self, device: Any) -> str | None:  # noqa: ANN401
        return next((name for name in self.known if name.endswith(device.fits)), None)

    def resolve(self, device: Any) -> Any:  # noqa: ANN401
        return self.match_entry(device) or device


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "zhaquirks"
    (root / "xiaomi").mkdir(parents=True)
    for name, text in (
        ("__init__", ""),
        ("xiaomi/__init__", 'LUMI = "LUMI"\n'),
        ("xiaomi/weather", 'IS_QUIRK = "lumi.weather"\n'),
        ("xiaomi/plug", 'IS_QUIRK = "lumi.plug"\n'),
        ("xiaomi/broken", 'import zha_of_tomorrow\nIS_QUIRK = "lumi.broken"\n'),
        ("xiaomi/older", 'import sys\nsys.of_another_zigpy()\nIS_QUIRK = "lumi.broken"\n'),
    ):
        (root / f"{name}.py").write_text(text)
    for name in [name for name in sys.modules if name.partition(".")[0] == "zhaquirks"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "zhaquirks"]:
        del sys.modules[name]


Met = Callable[[str, str], SimpleNamespace]


@pytest.fixture
def table(made_up: Path) -> tuple[QuirkTable, Registry]:
    package = ModuleType("zhaquirks")
    package.__path__ = [str(made_up)]
    registry = Registry()
    return QuirkTable(package, registry, registry.register), registry


def lumi(model: str, fits: str = "") -> SimpleNamespace:
    return SimpleNamespace(manufacturer="LUMI", model=model, fits=fits or model.rpartition(".")[2])


def test_only_modules_of_present_devices_are_imported_once(table: tuple[QuirkTable, Registry]) -> None:
    resolver, registry = table
    assert resolver.resolve(lumi("lumi.weather")) == "zhaquirks.xiaomi.weather"
    assert registry.registered == [("zhaquirks.xiaomi.weather",)]
    assert resolver.resolve(lumi("lumi.weather")) == "zhaquirks.xiaomi.weather"
    assert len(registry.registered) == 1
    assert "zhaquirks.xiaomi.plug" not in sys.modules


def test_unlisted_device_and_broken_module_are_handled(
    table: tuple[QuirkTable, Registry], caplog: pytest.LogCaptureFixture
) -> None:
    resolver, _ = table
    for model in ("lumi.broken", "lumi.unknown"):
        device = lumi(model)
        assert resolver.resolve(device) is device
    assert "zhaquirks.xiaomi.broken is unusable" in caplog.text
    assert "zhaquirks.xiaomi.older is unusable: AttributeError" in caplog.text


WHOLE_TABLE = """
import sys
import zhaquirks
from zha.quirks import DEVICE_REGISTRY
from hal.zigbee.zha_quirks import find_modules, load_quirk_table

registered = []
register = type(DEVICE_REGISTRY).register

def noting(self, entry):
    frame = sys._getframe(1)
    while frame and not (frame.f_code.co_name == "<module>" and frame.f_globals["__name__"].startswith("zhaquirks")):
        frame = frame.f_back
    registered.append((entry, frame.f_globals["__name__"] if frame else entry.source.module))
    return register(self, entry)

type(DEVICE_REGISTRY).register = noting
zhaquirks.setup()
sources, found, missing = list(load_quirk_table()._sources()), {}, []
for entry, module in registered:
    for pair in entry.device_match.applies_to:
        if pair not in found:
            found[pair] = find_modules(sources, pair.manufacturer or "", pair.model or "")
        if module not in found[pair].both + found[pair].either:
            missing.append((tuple(pair), module))
print(len(found))
assert not missing, missing
"""


@pytest.mark.slow
def test_every_device_of_the_table_is_found() -> None:
    pytest.importorskip("zhaquirks")
    done = subprocess.run([sys.executable, "-c", WHOLE_TABLE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1000
