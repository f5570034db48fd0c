"""Checks of the Zigbee stick and its network. Pure."""

from collections.abc import Sequence
from typing import Any

from agent.foundation.format import DAY_S, duration
from agent.foundation.phrase import counted, phrase
from agent.local.zigbee import ZigbeeReport
from agent.pairing.lifecycle import PairingStage
from agent.port.checks.facts import ChannelEnergy, Facts, Missing, Radio
from agent.port.checks.model import Check, Finding, check, failed, passed, unknown, warned
from agent.port.checks.report import Group, RepairOffer

LQI_WEAK = 60
"""Of 255. Below this a few frames in a hundred are lost, and a sensor gives up its parent now and then."""
BACKUP_WARN_S = 8 * DAY_S
"""The hub backs the network up daily."""
FIRMWARE_MAJOR_MIN = 6
"""EmberZNet before 6 has an older protocol and known faults of the routing."""
ENERGY_WARN = 150
ENERGY_FAIL = 215
"""Of 255; the stick's scale is about -100 dBm at 0 and -20 dBm at 255. From some -50 dBm on sensors wait for a free
channel, and give up near -35 dBm."""
CHANNEL_WEAK = 26
"""Many devices transmit on channel 26 with less power, to keep to the edge of the band."""
MANY_SENSORS = 20
"""A stick keeps some 30 sleeping children; beyond that they need routers."""

WAITS_FOR_IDENTITY = frozenset({PairingStage.INTERVIEWED, PairingStage.KEYED})
IS_IN_USE = frozenset({PairingStage.REGISTERED, PairingStage.RELAYING})

RESTART_RADIO = RepairOffer("restart-radio")


def _zigbee(facts: Facts) -> ZigbeeReport | Missing:
    """Return the document of a hub with a radio."""
    if isinstance(facts.documents, Missing):
        return facts.documents
    zigbee = facts.documents.zigbee
    return Missing("this hub has no Zigbee radio") if zigbee.radio.state == "none" else zigbee


def _radio(facts: Facts) -> Radio | Missing:
    zigbee = _zigbee(facts)
    return zigbee if isinstance(zigbee, Missing) else facts.radio


def _stick(found: ZigbeeReport) -> Finding:
    radio = found.radio
    match radio.state:
        case "up" | "refused":
            return passed(phrase("the stick answers at {port}", port=radio.port or "its port"))
        case "starting":
            return unknown("the radio is starting")
        case _:
            return failed(
                radio.problem or "the stick is lost", "plug it in again, on a cable off the hub", RESTART_RADIO
            )


def _network(found: ZigbeeReport) -> Finding:
    radio = found.radio
    match radio.state:
        case "refused":
            return failed(radio.problem, "plug in this hub's stick, or restore its backup (climahub zigbee restore)")
        case "up":
            return passed(phrase("the stick holds this hub's network, PAN 0x{pan}", pan=f"{radio.pan_id:04x}"))
        case _:
            return unknown("the stick does not answer")


def _firmware(found: Radio) -> Finding:
    major = found.firmware.partition(".")[0]
    if not major.isdigit():
        return unknown("the stick has not told its firmware")
    if int(major) < FIRMWARE_MAJOR_MIN:
        return warned(
            phrase("version {firmware} is old", firmware=found.firmware),
            "update it by its maker's instructions; take a backup first",
        )
    return passed(phrase("version {firmware}", firmware=found.firmware))


def _channel(found: ZigbeeReport) -> Finding:
    channel = found.radio.channel
    if not channel:
        return unknown("the channel is not known while the radio is not up")
    if channel == CHANNEL_WEAK:
        return warned("channel 26: many sensors transmit weakly there", "form the network anew on 15, 20 or 25")
    return passed(phrase("channel {channel}", channel=channel))


def _energy(facts: Facts) -> ChannelEnergy | Missing:
    zigbee = _zigbee(facts)
    return zigbee if isinstance(zigbee, Missing) else facts.energy


def _noise(found: ChannelEnergy) -> Finding:
    here = found.energy.get(found.channel)
    if here is None:
        return unknown("the energy on the network's channel was not measured")
    quietest = min((channel for channel in found.energy if channel != CHANNEL_WEAK), key=found.energy.__getitem__)
    text = phrase(
        "channel {channel} is at {here} of 255, the quietest, {quietest}, at {energy}",
        channel=found.channel,
        here=here,
        quietest=quietest,
        energy=found.energy[quietest],
    )
    remedy = "move the stick off the hub on a cable; give the Wi-Fi another channel"
    if here >= ENERGY_FAIL:
        return failed(text, remedy)
    return warned(text, remedy) if here >= ENERGY_WARN else passed(text)


def _routers(found: ZigbeeReport) -> Finding:
    gone = [each.about or each.device for each in found.routers if each.is_online is False]
    if gone:
        return warned(
            phrase("not on line: {gone}", gone=", ".join(gone)), "plug it in: sensors behind it look for another way"
        )
    if not found.routers and len(found.sensors) > MANY_SENSORS:
        return warned(
            phrase("{sensors} and no router", sensors=counted(len(found.sensors), "sensor")),
            "add plugs that forward for others",
        )
    if not found.sensors:
        return unknown("no sensor is paired yet")
    return passed(
        phrase(
            "{routers} for {sensors}",
            routers=counted(len(found.routers), "router"),
            sensors=counted(len(found.sensors), "sensor"),
        )
    )


def _backup(found: Radio) -> Finding:
    if found.backup_age_s is None:
        return warned("there is no backup of the network", "take one", RepairOffer("back-up-network"))
    text = phrase("the newest backup is {time} old", time=duration(found.backup_age_s))
    if found.backup_age_s > BACKUP_WARN_S:
        return warned(text, "take one", RepairOffer("back-up-network"))
    return passed(text)


def _link_quality(found: ZigbeeReport) -> Finding:
    known = [each for each in found.sensors if each.lqi_last_hop is not None]
    weak = [f"{each.name} {each.lqi_last_hop}" for each in known if (each.lqi_last_hop or 0) < LQI_WEAK]
    if weak:
        return warned(
            phrase("weak links (of 255): {weak}", weak=", ".join(weak)),
            "add a router (a plug) half way, or move the sensor",
        )
    if not known:
        return unknown("no link has been measured yet")
    return passed(phrase("the weakest link is {value} of 255", value=min(each.lqi_last_hop or 0 for each in known)))


def _pairing(found: ZigbeeReport) -> Finding:
    if found.problem:
        return failed(found.problem, "check the card", RepairOffer("rebuild-stores"))
    # Those that wait for their identity in the cloud are named by sensors-identity.
    wrong = [each for each in found.sensors if each.problem and each.stage not in WAITS_FOR_IDENTITY]
    if wrong:
        text = "; ".join(f"{each.name}: {each.problem}" for each in wrong)
        repairs = [RepairOffer("set-up-reporting", each.device) for each in wrong if each.stage in IS_IN_USE]
        return warned(text, "follow the message", *repairs)
    return passed(phrase("{sensors} paired, without a problem", sensors=counted(len(found.sensors), "sensor")))


def _members(found: ZigbeeReport) -> Finding:
    others = [each for each in found.others if not each.is_interviewed]
    if others:
        repairs = [RepairOffer("forget-sensor", each.device) for each in others]
        text = phrase(
            "members that did not complete their interview: {value}", value=", ".join(each.device for each in others)
        )
        return warned(text, "press the button of that device, or forget it", *repairs)
    return passed("every member of the network is known")


CHECKS: Sequence[Check[Any]] = (
    check(Group.ZIGBEE, "stick", "Stick", "The radio must answer.", _zigbee, _stick),
    check(
        Group.ZIGBEE,
        "network",
        "This hub's network",
        "A stick with the network of another hub receives none of this hub's sensors.",
        _zigbee,
        _network,
    ),
    check(Group.ZIGBEE, "firmware", "Firmware", "Old firmware of the stick has known faults.", _radio, _firmware),
    check(Group.ZIGBEE, "channel", "Channel", "Some channels are weaker than others.", _zigbee, _channel),
    check(
        Group.ZIGBEE,
        "noise",
        "Noise on the channel",
        "Wi-Fi and USB 3 disturb the radio.",
        _energy,
        _noise,
    ),
    check(Group.ZIGBEE, "routers", "Routers", "They forward for sensors that are far away.", _zigbee, _routers),
    check(
        Group.ZIGBEE,
        "backup",
        "Backup",
        "With a backup a new stick takes over without pairing anew.",
        _radio,
        _backup,
    ),
    check(Group.ZIGBEE, "link-quality", "Link quality", "Weak links lose readings.", _zigbee, _link_quality),
    check(Group.ZIGBEE, "pairing", "Paired sensors", "Sensors whose pairing does not proceed.", _zigbee, _pairing),
    check(Group.ZIGBEE, "members", "Other members", "Devices that joined and measure nothing.", _zigbee, _members),
)
