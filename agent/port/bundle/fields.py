"""What may leave the hub in a support bundle: every field of every document, by name. Pure.

An allow-list: a field or document that is not named here stays on the hub, so a new one leaves only after somebody has
decided it. `WITHHELD` names what was decided against; a test holds both against the documents.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any

import msgspec

ALLOWED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        name: frozenset(fields.split())
        for name, fields in {
            # The state of the hub (agent.local.status).
            "HubStatus": "version board clock link quotas outbox sensors relayed_sensors settings faults unread_sensors"
            " running_s climate_problems commands_problem starts update unmatched_keys config_trial machine"
            " relay_problem",
            "MachineReport": "power_now power_since_boot is_mains_off disk_free_bytes disk_free_bytes_min ups"
            " written_bytes_per_day button_problem reset_left_s is_card_moved holds_back",
            "UpsReport": "is_mains_on charge_percent minutes_left power_off_percent problem",
            "ConfigTrialReport": "keys left_s is_started caller",
            "ClockStatus": "synchronised utc boot_id uptime_s source error_s known_for_s confirmed_s_ago",
            "Template": "",
            "LinkReport": "state reason since_s outages compression cause endpoints last_error last_error_age_s usage"
            " shared_key",
            "UsageReport": "days bytes_per_day bytes_per_month",
            "UsageDayReport": "day requests sent_bytes received_bytes",
            "EndpointReport": "state reason cause since_s failures is_failing",
            "QuotaReport": "used limit window_s is_history_unknown",
            "OutboxReport": "pending in_memory fresh unregistered unanchored retrying used_bytes oldest_age_s committed"
            " accepted unconfirmed downsampled dropped dead_letters problem last_refusal sendable stalled_s"
            " accepted_age_s in_memory_age_s accepted_from_memory held",
            "SensorReport": "device sensor kind value unit quality reason age_s good bad failures problem measured"
            " uncertainty doubt",
            "RelayedReport": "device name sensor_id problem",
            "SettingsReport": "in_force pending problems",
            "FaultReport": "component text count age_s",
            "StartReport": "began version boot_id boot_reason end detail count",
            "Verdict": "level sentences problems actions",
            "Problem": "what advice level",
            "Action": "title method path role",
            # The trail of boots and of starts, from the API and from their files.
            "BootsReport": "boots",
            "BootRecord": "boot_id reason at_utc_ms seen_s end agent_starts agent_ends versions power_problems",
            "BootReport": "boot_id reason began seen_s end agent_starts agent_ends versions power_problems",
            "StartRecord": "boot_id boot_reason version at_utc_ms end detail count",
            # The cloud's commands.
            "CommandsReport": "commands problem next_before",
            "CommandReport": "command_id type state outcome error_message received expires settled",
            # Heating.
            "ClimateReport": "zones heat_source problems timezone outdoor_c",
            "ZoneReport": "zone room_c sensors_used sensor_problem mode heat_setpoint_c cool_setpoint_c setpoint_reason"
            " until setpoint_text is_eco is_eco_enabled action duty reason problem holds rate_k_per_h loss_k_per_h"
            " sensors sensors_in_use modes is_window_open floor_c is_heated_in_vain is_sensor_stuck"
            " is_held has_contradiction",
            "HoldReport": "kind heat_setpoint_c cool_setpoint_c mode start end until left_s",
            "HeatSourceReport": "action stage is_aux_on is_pump_on",
            # The radio.
            "ZigbeeReport": "radio sensors steps problem routers others outputs",
            "RadioOutputReport": "line about drives is_on goes_off_alone problem",
            "RadioReport": "state problem port channel pan_id steps join_window_left_s",
            "PairedSensor": "device name stage problem sensor_id about is_online is_sleepy last_seen_age_s lqi_last_hop"
            " readings notes",
            "ReadingReport": "kind value unit age_s",
            "StepReport": "number age_s what device detail",
            "RouterReport": "device about is_online lqi_last_hop",
            "MemberReport": "device about is_interviewed is_online lqi_last_hop notes",
            # Updates.
            "UpdateReport": "version slot launcher good floor state target percent signed_by is_paused waiting_for"
            " error warning trusted_keys failed refused kind system revoked_keys checked trial_left_s trial_deadline_s"
            " trial_problems trial_starts_left slot_reason",
            "RefusedReport": "version reason",
            # The log.
            "LogReport": "entries newest_id oldest_id",
            "LogEntry": "id utc age_s level component text traceback",
            # Tests of the hardware.
            "TestsReport": "outputs test commissioning renew_s can_scan can_identify",
            "OutputReport": "output can_heat can_cool action reason wait_s",
            "RelayTestReport": "output action duration_s is_overridden phase phase_s outcome text on_s",
            "CommissioningReport": "began phase zone phase_s zones text turns sentences rises",
            "TurnReport": "zone verdict answered_by sensor rise_k margin_k certainty heated_s text",
            "RiseReport": "sensor zone value_c rise_k",
            # The checks.
            "ChecksReport": "outcome counts took_s checks",
            "CheckResult": "name group title outcome fact remedy meaning repairs",
            "RepairOffer": "name target",
            # The configuration: the reports that hide secrets, of the hub and of its file.
            "ConfigReport": "file keys trial last_trial problem is_restarting outputs",
            "ConfigTable": "",
            "ConfigKey": "key text unit origin edit",
            "Shown": "key value unit origin",
            # What this feature makes itself.
            "DatabaseSummary": "file size_bytes log_bytes schema is_sound problem rows",
            "StateEntry": "name size_bytes age_s mode",
            "StateListing": "known others_count others_bytes",
        }.items()
    }
)
"""By the name of the struct."""

WITHHELD: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # The verdict's texts once more, for translations.
        "Verdict": frozenset({"phrases"}),
        "CheckResult": frozenset({"phrases"}),
        "Template": frozenset({"key", "parameters"}),
        # When people are at home; names that they chose for it.
        "ZoneReport": frozenset({"label", "schedule", "schedules", "calendar", "detected"}),
        "HoldReport": frozenset({"id"}),
        # The same in every hub of a version; `value` is `text` in another form.
        "ConfigReport": frozenset({"tables"}),
        "ConfigTable": frozenset({"table", "about"}),
        "ConfigKey": frozenset({"value", "default", "allowed", "help"}),
        # Whoever knows them could renew a running test.
        "RelayTestReport": frozenset({"test_id"}),
        "CommissioningReport": frozenset({"test_id", "phrases"}),
        "TestsReport": frozenset({"lease"}),
    }
)


def filtered(value: Any) -> Any:  # noqa: ANN401 - any document
    """Return a document as values for JSON, with the allowed fields only; a struct that is not listed is left out."""
    match value:
        case msgspec.Struct():
            names = ALLOWED.get(type(value).__name__, frozenset())
            return {name: filtered(getattr(value, name)) for name in value.__struct_fields__ if name in names}
        case Enum():
            return value.value
        case str() | int() | float() | None:
            return value
        case Mapping():
            return {str(filtered(name)): filtered(item) for name, item in value.items()}
        case Sequence() | frozenset() | set():
            return [filtered(item) for item in value]
        case _:
            return None
