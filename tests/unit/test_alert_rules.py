"""The alert rules and the dashboard that are shipped for operators: valid, evaluated, and of metrics that hubs have."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES, TESTS = MONITORING / "climahub.rules.yml", MONITORING / "climahub.tests.yml"
DASHBOARD = MONITORING / "grafana-dashboard.json"
SOURCE = ROOT / "agent" / "port" / "metrics.py"

KINDS = ("temperature_celsius", "humidity_ratio", "battery_ratio")


def known_metrics() -> set[str]:
    """Return the names of all metrics in the source of the hub's exposition."""
    names = set(re.findall(r'_(?:one|count|gauge|counter)\(\s*"([a-z_]+)"', SOURCE.read_text()))
    assert len(names) > 30
    assert all(f'"{kind}"' in SOURCE.read_text() for kind in KINDS)
    return {f"climahub_{name}" for name in (*names, *(f"sensor_{kind}" for kind in KINDS))}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("install promtool (Debian: apt-get install prometheus)")
    return subprocess.run([found, *words], capture_output=True, text=True, check=False, cwd=MONITORING)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", RULES.name),
        ("test", "rules", TESTS.name),
        ("check", "config", "--syntax-only", "prometheus.yml"),
    ],
)
def test_promtool_accepts_rules_their_cases_and_the_configuration(words: tuple[str, ...]) -> None:
    ran = promtool(*words)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_rule_has_a_case_in_which_it_fires() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(alerts) == len(set(alerts))
    cases = re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", TESTS.read_text())
    assert set(cases) == set(alerts)


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_is_one_that_hubs_have(path: Path) -> None:
    named = set(re.findall(r"climahub_[a-z_]+", path.read_text()))
    assert named
    assert named <= known_metrics()


def test_the_dashboard_shows_each_panel_in_a_place_of_its_own() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    places: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & places, panel["title"]
        assert max(x for x, _ in cells) < 24
        places |= cells
        assert panel["targets"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
