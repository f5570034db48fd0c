import json
import random
from typing import Any, get_args

import msgspec
import pytest

from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import (
    AcceptedLower,
    BrokenJson,
    CutBefore,
    ErrorStatus,
    ExtraFields,
    Fault,
    FaultPlan,
    FaultRule,
    LatencyUp,
    OversizedBody,
    TruncatedJson,
    WrongShape,
    apply_fault,
)

POLL, TELEMETRY = Endpoint.COMMANDS_PENDING, Endpoint.TELEMETRY
CUT = CutBefore()
ANSWER = b'{"accepted":3,"timestamp":"2026-03-29T12:00:00Z"}'


def plan(*rules: FaultRule, seed: int = 1) -> FaultPlan:
    return FaultPlan(rules, random.Random(seed))


def test_plan_without_rules_draws_no_fault() -> None:
    assert plan().draw(POLL, 0.0) == ()


def test_rule_applies_to_its_endpoint() -> None:
    one, all_of_them = plan(FaultRule(CUT, endpoint=POLL)), plan(FaultRule(CUT))
    assert (one.draw(POLL, 0.0), one.draw(TELEMETRY, 0.0)) == ((CUT,), ())
    assert all(all_of_them.draw(endpoint, 0.0) == (CUT,) for endpoint in Endpoint)


def test_rule_applies_within_its_time() -> None:
    timed = plan(FaultRule(CUT, from_s=10.0, to_s=20.0))
    struck = [at_s for at_s in (9.9, 10.0, 19.9, 20.0) if timed.draw(POLL, at_s)]
    assert struck == [10.0, 19.9]


def test_rule_is_used_up_after_its_count() -> None:
    spent = plan(FaultRule(CUT, endpoint=POLL, next_n=2), FaultRule(ErrorStatus(503), next_n=0))
    assert [len(spent.draw(endpoint, 0.0)) for endpoint in (TELEMETRY, POLL, POLL, POLL)] == [0, 1, 1, 0]
    assert spent.struck == {"CutBefore": 2}


def test_several_rules_apply_together_in_order() -> None:
    slow = LatencyUp(1, 2)
    both = plan(FaultRule(slow), FaultRule(CUT))
    assert both.draw(POLL, 0.0) == (slow, CUT)


def test_the_same_seed_gives_the_same_faults() -> None:
    def strikes(seed: int) -> list[bool]:
        drawn = plan(FaultRule(CUT, probability=0.3), seed=seed)
        return [bool(drawn.draw(POLL, 0.0)) for _ in range(300)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 60 < sum(strikes(1)) < 120
    never = plan(FaultRule(CUT, probability=0.0))
    assert not any(never.draw(POLL, 0.0) for _ in range(50))


def test_inapplicable_rule_draws_no_random_number() -> None:
    rng, fresh = random.Random(1), random.Random(1)
    idle = FaultPlan([FaultRule(CUT, endpoint=TELEMETRY, probability=0.5), FaultRule(ErrorStatus(500))], rng)
    idle.draw(POLL, 0.0)
    assert rng.random() == fresh.random()


def test_every_fault_has_its_name_on_the_wire() -> None:
    for kind in get_args(Fault):
        required = {"min_s": 1, "max_s": 2, "status": 500, "location": "/", "piece_bytes": 1, "pause_s": 1}
        required |= {"body_bytes": 1, "shape": "null", "offset_s": 1}
        fields = {name: required[name] for name in kind.__struct_fields__ if name in required}
        if kind.__name__ == "Redirect":
            fields["status"] = 302
        rule = msgspec.json.decode(json.dumps({"fault": {"type": kind.__struct_config__.tag} | fields}), type=FaultRule)
        assert type(rule.fault) is kind
        assert msgspec.json.decode(msgspec.json.encode(rule), type=FaultRule) == rule


class TestDisguise:
    def test_body_without_faults_is_unchanged(self) -> None:
        assert apply_fault(ANSWER, [CUT], is_json=True) == ANSWER

    @pytest.mark.parametrize("fault", [BrokenJson(), TruncatedJson(), ExtraFields(), OversizedBody(999)])
    def test_firmware_body_is_unchanged(self, fault: Fault) -> None:
        assert apply_fault(b"\x00firmware", [fault], is_json=False) == b"\x00firmware"

    @pytest.mark.parametrize(("by", "accepted"), [(1, 2), (3, 0), (9, 0)])
    def test_accepted_count_is_lowered(self, by: int, accepted: int) -> None:
        body = apply_fault(ANSWER, [AcceptedLower(by)], is_json=True)
        assert json.loads(body) == {"accepted": accepted, "timestamp": "2026-03-29T12:00:00Z"}
        assert apply_fault(b'{"commands":[]}', [AcceptedLower(by)], is_json=True) == b'{"commands":[]}'

    def test_extra_fields_at_every_depth(self) -> None:
        body = apply_fault(b'{"commands":[{"type":"reboot","payload":{}}],"n":1}', [ExtraFields()], is_json=True)
        extra = {"x_added_later": {"since": 2}}
        payload: dict[str, Any] = {"payload": extra, "type": "reboot"}
        assert json.loads(body) == {"commands": [payload | extra], "n": 1} | extra

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (WrongShape("string"), {"accepted": "3", "timestamp": ["now"], "update": "false"}),
            (WrongShape("string", "accepted"), {"accepted": "3", "timestamp": "now", "update": False}),
            (WrongShape("missing"), {}),
            (WrongShape("missing", "timestamp"), {"accepted": 3, "update": False}),
            (WrongShape("null"), {"accepted": None, "timestamp": None, "update": None}),
            (WrongShape("null", "absent"), {"accepted": 3, "timestamp": "now", "update": False}),
        ],
    )
    def test_fields_get_the_wrong_shape(self, fault: Fault, expected: dict[str, Any]) -> None:
        body = apply_fault(b'{"accepted":3,"timestamp":"now","update":false}', [fault], is_json=True)
        assert json.loads(body) == expected

    @pytest.mark.parametrize("body", [ANSWER, b'{"commands":[]}', b"{}"])
    @pytest.mark.parametrize("fault", [BrokenJson(), TruncatedJson()])
    def test_broken_json_is_invalid(self, fault: Fault, body: bytes) -> None:
        with pytest.raises(json.JSONDecodeError):
            json.loads(apply_fault(body, [fault], is_json=True))

    def test_oversized_body_is_valid_json(self) -> None:
        body = apply_fault(ANSWER, [OversizedBody(5000)], is_json=True)
        assert len(body) == 5000
        assert json.loads(body) == json.loads(ANSWER)

    def test_text_faults_apply_after_object_faults(self) -> None:
        body = apply_fault(ANSWER, [OversizedBody(5000), ExtraFields()], is_json=True)
        assert len(body) == 5000
        assert b"x_added_later" in body
