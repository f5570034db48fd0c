"""People use the page of a demo at their own pace, although the time of its house runs faster: over its HTTP API."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from agent.port.hardware.output_test import LEASE_S
from lab.demo.environment import Scenario
from lab.demo.runner import DemoSnapshot, Options, run_demo
from tests.integration.conftest import WAIT_S

Document: TypeAlias = dict[str, Any]

SPEED = 600.0
"""A lease of 20 s that ran on the house's clock would end after 33 ms, a join window of a minute after 0.1 s."""

RENEW_S = 1.0
FOR_S = 300.0
"""A busy machine gets its time; what is waited for takes a few seconds."""


class Person:
    """Signs in to the page with its code, and does something there, in a thread of their own."""

    def __init__(self, scene: DemoSnapshot, work: Callable[["Person"], None]) -> None:
        self._host = scene.page.removeprefix("http://")
        self._code = scene.code
        self._cookie = ""
        self._work = work
        self._connection = http.client.HTTPConnection(self._host, timeout=WAIT_S)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.ask("POST", "/v1/session", {"code": self._code})
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - raised again by the test
            self.failure = error
        finally:
            self._connection.close()

    def ask(self, method: str, path: str, body: object = None, *, or_status: int = 200) -> Document:
        """Send a request over the one connection that a browser keeps open, and return the answer."""
        headers = {"Content-Type": "application/json", "Cookie": self._cookie}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        answer: Document = json.loads(response.read())
        assert response.status in {200, or_status}, answer
        self._cookie = (response.getheader("Set-Cookie") or self._cookie).partition(";")[0]
        return answer

    def renew(self, begun: Document, test: Document) -> None:
        """Renew the lease of a test, unless it has ended since this person looked."""
        self.ask("POST", "/v1/tests/renew", {"test_id": test["test_id"], "lease": begun["lease"]}, or_status=409)

    def look(self, path: str, until: Callable[[Document], bool]) -> Document:
        """Return a document once it is as expected, looking once in `RENEW_S`."""
        while not until(found := self.ask("GET", path)):
            time.sleep(RENEW_S)
        return found


def demonstrate(work: Callable[[Person], None]) -> None:
    """Run a demo until a person has done their work with its page."""
    people: list[Person] = []

    class Display:
        def show(self, scene: DemoSnapshot) -> None:
            if scene.page and scene.code and not people:
                people.append(Person(scene, work))

    def real_s() -> float:
        is_over = people and not people[0].thread.is_alive()
        return time.monotonic() + (FOR_S if is_over else 0.0)

    options = Options(
        scenario=Scenario(), for_s=FOR_S, speed=SPEED, seed=3, sensors=15, has_outages=False, refresh_s=0.02
    )
    run_demo(options, Display(), real_s)
    assert people
    people[0].thread.join(WAIT_S)
    if people[0].failure:
        raise people[0].failure


def test_a_relay_is_tested_at_the_pace_of_people() -> None:
    outcomes: list[tuple[str, float]] = []

    def test_a_relay(person: Person) -> None:
        output = person.look("/v1/tests", lambda tests: tests["outputs"])["outputs"][0]["output"]
        request = {"duration_s": 5, "override": "short-cycle"}
        begun = person.ask("POST", f"/v1/tests/relays/{output}", request)
        test = begun["test"]
        while test["phase"] in {"waiting", "on"}:
            time.sleep(RENEW_S)
            test = person.ask("GET", "/v1/tests")["test"]
            if test["phase"] in {"waiting", "on"}:
                person.renew(begun, test)
        outcomes.append((test["outcome"], test["on_s"]))

    demonstrate(test_a_relay)
    [(outcome, on_s)] = outcomes
    assert outcome == "passed"
    assert 5.0 <= on_s < LEASE_S


def test_a_commissioning_walk_goes_on_while_people_renew_it() -> None:
    """It follows the house's clock: a room warms up within seconds of a person."""
    reports: list[Document] = []

    def walk(person: Person) -> None:
        zone = person.look("/v1/tests", lambda tests: tests["outputs"])["outputs"][0]["output"]
        begun = person.ask("POST", "/v1/tests/commissioning", {"zones": [zone]})
        walking = begun["commissioning"]
        while walking["phase"] != "done":
            time.sleep(RENEW_S)
            walking = person.ask("GET", "/v1/tests")["commissioning"]
            if walking["phase"] != "done":
                person.renew(begun, walking)
        reports.append(walking)

    demonstrate(walk)
    [report] = reports
    assert [finding["verdict"] for finding in report["turns"]] == ["own"], report


def test_a_boxed_sensor_is_paired_at_the_pace_of_people() -> None:
    paired: list[Document] = []

    def pair(person: Person) -> None:
        assert person.ask("GET", "/v1/status")["unmatched_keys"] == []
        before = {sensor["device"] for sensor in person.ask("GET", "/v1/zigbee")["sensors"]}
        person.ask("POST", "/v1/zigbee/join-window", {"seconds": 60, "is_many": True})
        time.sleep(RENEW_S)
        # On the house's clock it would be over.
        assert 0 < person.ask("GET", "/v1/zigbee")["radio"]["join_window_left_s"] <= 60

        def new(zigbee: Document) -> list[Document]:
            return [
                sensor
                for sensor in zigbee["sensors"]
                if sensor["device"] not in before and sensor["stage"] == "relaying"
            ]

        paired.extend(new(person.look("/v1/zigbee", lambda zigbee: bool(new(zigbee)))))

    demonstrate(pair)
    assert [sensor["name"] for sensor in paired] == ["living 4"]
