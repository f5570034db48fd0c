"""The JSON of AURRA Home: one struct for each body and answer. Field names are the contract's; decides nothing."""

from typing import Annotated, Literal

import msgspec

NAME_CHARACTERS_MAX = 64
LABEL_CHARACTERS_MAX = 64
ISSUE_CHARACTERS_MAX = 256
ACTION_CHARACTERS_MAX = 256
BLOCKS_MAX = 70
"""As many as a schedule of the hub may have (`agent.climate.schedule`)."""
TOKEN_CHARACTERS_MAX = 4096
ID_CHARACTERS_MAX = 64

Mode = Literal["heat", "cool", "auto", "off"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
DeviceId = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
Confidence = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Fahrenheit = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 40, "maximum": 90})]
"""The range is documented here and checked by `translation`: outside it the error has a code of its own."""
Timestamp = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class Token(msgspec.Struct, frozen=True):
    """Answer of `POST /auth/token`."""

    access_token: str
    token_type: str
    expires_in: int


class StatusDocument(msgspec.Struct, frozen=True):
    """Answer of `GET /thermostat/{device_id}/status`; `null` where nothing is measured."""

    temperature: int | None
    humidity: int | None
    mode: str
    eco_mode: bool
    status: Literal["active", "idle", "offline"]


class SetpointBody(msgspec.Struct, frozen=True):
    """Body of `POST /thermostat/{device_id}/setpoint`."""

    temperature: Fahrenheit
    mode: Mode


class Applied(msgspec.Struct, frozen=True):
    """Its answer; `null` while the hub does not know the time."""

    success: bool
    applied_at: str | None


class BlockDocument(msgspec.Struct, frozen=True):
    """A block of a schedule, in requests and answers."""

    label: Annotated[str, msgspec.Meta(max_length=LABEL_CHARACTERS_MAX)]
    start: TimeOfDay
    end: TimeOfDay
    heat: Fahrenheit
    cool: Fahrenheit
    days: Annotated[list[Day], msgspec.Meta(min_length=1, max_length=7)]


class ScheduleBody(msgspec.Struct, frozen=True):
    """Body of `POST /thermostat/{device_id}/schedule`."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    blocks: Annotated[list[BlockDocument], msgspec.Meta(min_length=1, max_length=BLOCKS_MAX)]


class ScheduleAnswer(msgspec.Struct, frozen=True):
    """Its answer."""

    success: bool
    name: str
    blocks_count: int


class Synced(msgspec.Struct, frozen=True):
    """Answer of `POST /thermostat/{device_id}/schedule/sync`; `null` while the hub does not know the time."""

    synced: bool
    synced_at: str | None


class EcoBody(msgspec.Struct, frozen=True):
    """Body of `POST /thermostat/{device_id}/eco`."""

    enabled: bool
    heat_limit: Fahrenheit | None = None
    cool_limit: Fahrenheit | None = None


class EcoApplied(msgspec.Struct, frozen=True):
    """Its answer."""

    success: bool
    enabled: bool
    heat_limit: int
    cool_limit: int


class VibrationBody(msgspec.Struct, frozen=True):
    """Body of `POST /diagnostics/vibration`: g, Hz, ms."""

    device_id: DeviceId
    timestamp: Timestamp
    amplitude: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)]
    frequency: Annotated[float, msgspec.Meta(ge=0.0, le=1_000_000.0)]
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 1000


class EnergyBody(msgspec.Struct, frozen=True):
    """Body of `POST /diagnostics/energy`: minutes, V, A.

    `inrush_amps`, the largest current at a start, is an extension of this hub.
    """

    device_id: DeviceId
    runtime_mins: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    voltage: Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)]
    current_amps: Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)]
    period_start: Timestamp
    inrush_amps: Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)] | None = None


class ReadingAccepted(msgspec.Struct, frozen=True):
    """Answer of both."""

    accepted: bool
    reading_id: str


class PredictionReport(msgspec.Struct, frozen=True):
    """What is expected to fail."""

    issue: str
    confidence: float
    recommended_action: str


class PredictiveStatus(msgspec.Struct, frozen=True):
    """Answer of `GET /predictive/hvac/{device_id}/status`; `null` where there is none."""

    maintenance_needed: bool
    prediction: PredictionReport | None
    last_service: str | None


class AlertBody(msgspec.Struct, frozen=True):
    """Body of `POST /alerts`."""

    device_id: DeviceId
    issue: Annotated[str, msgspec.Meta(min_length=1, max_length=ISSUE_CHARACTERS_MAX)]
    confidence: Confidence
    action: Annotated[str, msgspec.Meta(min_length=1, max_length=ACTION_CHARACTERS_MAX)]
    dispatch: bool = False
    priority: Literal["low", "medium", "high", "critical"] = "medium"


class AlertCreated(msgspec.Struct, frozen=True):
    """Its answer; `shown` tells whether the confidence reaches the threshold from which people see it at the hub."""

    success: bool
    alert_id: str
    shown: bool


class OptimizeBody(msgspec.Struct, frozen=True):
    """Body of `POST /climate/optimize`."""

    device_id: DeviceId
    mode: Literal["comfort", "efficiency", "balanced"] = "balanced"
    apply_immediate: bool = False


class OptimizedSchedule(msgspec.Struct, frozen=True):
    """A schedule that needs less energy."""

    name: str
    blocks: list[BlockDocument]
    projected_savings: str


class Optimized(msgspec.Struct, frozen=True):
    """Answer of `POST /climate/optimize`."""

    optimized_schedule: OptimizedSchedule
    requires_approval: bool


class VoiceBody(msgspec.Struct, frozen=True):
    """Body of `POST /integration/voice-assistant`. `user_token` is a secret."""

    device_id: DeviceId
    platform: Literal["Alexa", "GoogleAssistant", "HomeKit"]
    user_token: Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_CHARACTERS_MAX)]


class VoiceLinked(msgspec.Struct, frozen=True):
    """Its answer. `message` says what the platform still needs."""

    success: bool
    platform: str
    message: str
