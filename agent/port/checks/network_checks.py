"""Checks of the network, layer by layer, and of the cloud behind it. Pure.

A layer that was not tried because the one below it failed is unknown: the remedy stands at the lowest layer that fails.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from agent.foundation.format import DAY_S, MINUTE_S, duration
from agent.foundation.phrase import phrase
from agent.local.machine_problems import card_moved
from agent.local.problems import GIVE_KEY, REMEDIES, shared_key
from agent.local.status import HubStatus
from agent.port.checks.facts import CloudPath, Documents, Layer, LocalNetwork
from agent.port.checks.model import Check, Finding, check, failed, passed, unknown, warned
from agent.port.checks.report import Group, RepairOffer

WIFI_WARN_DBM = -75.0
WIFI_FAIL_DBM = -85.0
"""Most radios lose packets below -75 dBm, and the connection around -88 dBm."""
SLOW_S = 1.5
"""A name server or a connection that takes longer than this makes requests fail now and then."""
CERTIFICATE_WARN_S = 14 * DAY_S
CLOCK_WARN_S = 5.0
CLOCK_FAIL_S = 120.0
"""Readings that are stamped this far off are wrong in the cloud."""

_UP = frozenset({"up", "unknown"})
"""The kernel's operational states of a usable interface: drivers without a link detection say "unknown"."""

RETRY_CLOUD = RepairOffer("retry-cloud")
CARD_DECISIONS = (RepairOffer("confirm-moved-card"), RepairOffer("reset-copied-card"))


def _link(found: LocalNetwork) -> Finding:
    usable = [each for each in found.interfaces if each.state in _UP]
    if not usable:
        text = ", ".join(f"{each.name} is {each.state}" for each in found.interfaces) or "no interface"
        return failed(text, "plug in the network cable, or set up the Wi-Fi")
    used = next((each for each in usable if each.name == found.gateway_interface), usable[0])
    if used.level_dbm is None:
        return passed(phrase("{name} is up", name=used.name))
    text = phrase("{name} is up at {level} dBm", name=used.name, level=f"{used.level_dbm:.0f}")
    remedy = "move the hub nearer to the access point, or use a cable"
    if used.level_dbm < WIFI_FAIL_DBM:
        return failed(text, remedy)
    return warned(text, remedy) if used.level_dbm < WIFI_WARN_DBM else passed(text)


def _address(found: LocalNetwork) -> Finding:
    given = [(each.name, address) for each in found.interfaces for address in each.addresses]
    usable = [f"{name} has {address}" for name, address in given if not ip_address(address).is_link_local]
    if usable:
        return passed(", ".join(usable))
    remedy = "check that the router gives addresses (DHCP), or set one by hand"
    return failed("no address but those that a machine gives itself" if given else "no address", remedy)


def _gateway(found: LocalNetwork) -> Finding:
    if not found.gateway:
        return failed("no route leads out of this network", "check the router and its DHCP")
    text = phrase("the router is {gateway} on {interface}", gateway=found.gateway, interface=found.gateway_interface)
    match found.gateway_answers:
        case True:
            return passed(phrase("{text}, and it answers", text=text))
        case False:
            return failed(
                phrase("{text}, and it does not answer", text=text), "check that the router is on, and the cable to it"
            )
        case _:
            return unknown(phrase("{text}; nothing was sent to it lately", text=text))


def _layer(layer: Layer, remedy: str, *repairs: RepairOffer) -> Finding:
    if layer.is_working is None:
        return unknown(layer.text)
    if not layer.is_working:
        return failed(layer.text, remedy, *repairs)
    if layer.took_s > SLOW_S:
        return warned(
            phrase("{text}, after {seconds} s", text=layer.text, seconds=f"{layer.took_s:.1f}"),
            phrase("it is slow: {remedy}", remedy=remedy),
        )
    return passed(layer.text)


def _dns(found: CloudPath) -> Finding:
    return _layer(found.dns, "check the name server that the router gives (/etc/resolv.conf, resolvectl status)")


def _tcp(found: CloudPath) -> Finding:
    return _layer(found.tcp, "let the router or firewall pass connections to this address and port", RETRY_CLOUD)


def _tls(found: CloudPath) -> Finding:
    return _layer(found.tls, "check cloud.ca_file, the clock, and proxies that break TLS open", RETRY_CLOUD)


def _certificate(found: CloudPath) -> Finding:
    left_s = found.certificate_s_left
    if left_s is None:
        return unknown("no certificate of the cloud was seen")
    if left_s <= 0:
        return failed(
            phrase("it expired {time} ago", time=duration(-left_s)), "ask the cloud's operator; check this hub's clock"
        )
    if left_s < CERTIFICATE_WARN_S:
        return warned(phrase("it expires in {time}", time=duration(left_s)), "ask the cloud's operator to renew it")
    return passed(phrase("it is valid for {time}", time=duration(left_s)))


def _http(found: CloudPath) -> Finding:
    return _layer(
        found.http, "check cloud.base_url, then proxies on the way, then ask the cloud's operator", RETRY_CLOUD
    )


def _clock_difference(found: CloudPath) -> Finding:
    difference_s = found.clock_difference_s
    if difference_s is None:
        return unknown("the cloud's clock could not be compared")
    apart_s = abs(difference_s)
    apart = duration(apart_s) if apart_s >= MINUTE_S else f"{apart_s:.1f} s"
    text = phrase("this hub's clock differs from the cloud's by {apart}", apart=apart)
    remedy = "check the time service (timedatectl)"
    if apart_s > CLOCK_FAIL_S:
        return failed(text, remedy, RepairOffer("fetch-time"))
    return warned(text, remedy, RepairOffer("fetch-time")) if apart_s > CLOCK_WARN_S else passed(text)


def _ipv6(found: CloudPath) -> Finding:
    if found.ipv6.is_working is False:
        return warned(
            found.ipv6.text,
            "repair or switch off IPv6 at the router: each connection waits for it before IPv4 is tried",
        )
    return _layer(found.ipv6, "check IPv6 at the router")


def _proxy(found: CloudPath) -> Finding:
    if found.proxy_problem:
        return failed(found.proxy_problem, "correct cloud.proxy or HTTPS_PROXY")
    if not found.proxy:
        return passed("none is configured, and none is used")
    if found.tcp.is_working is False:
        return failed(
            phrase("{proxy}: {text}", proxy=found.proxy, text=found.tcp.text),
            "check cloud.proxy and that the proxy runs",
        )
    if found.tcp.is_working and found.tls.is_working is False:
        return failed(
            phrase("{proxy} does not let requests through: {text}", proxy=found.proxy, text=found.tls.text),
            "allow the cloud's host there",
        )
    if found.tcp.is_working and found.tls.is_working:
        return passed(phrase("{proxy} lets requests through", proxy=found.proxy))
    return unknown(phrase("{proxy} was not tried", proxy=found.proxy))


def _portal(found: CloudPath) -> Finding:
    return _layer(found.portal, "sign in at the network's own page, or give the hub another network")


def _key(found: Documents) -> Finding:
    link = found.status.link
    match link.state:
        case "unprovisioned" if found.status.machine.is_card_moved:
            moved = card_moved()
            return failed(moved.what, moved.advice, *CARD_DECISIONS)
        case "unprovisioned":
            return failed("the hub has no key", GIVE_KEY)
        case "key_refused":
            return failed(
                phrase("the cloud refuses the key: {reason}", reason=link.reason),
                REMEDIES["key_refused"][1],
                RETRY_CLOUD,
            )
        case "up" | "degraded" if link.shared_key:
            shared = shared_key(link.shared_key)
            return warned(shared.what, shared.advice)
        case "up" | "degraded":
            return passed("the cloud accepts the hub's key")
        case _:
            return unknown("the cloud has not judged the key lately")


def _quota(found: Documents) -> Finding:
    full = [
        f"{name}: {quota.used} of {quota.limit} in {duration(quota.window_s)}"
        for name, quota in found.status.quotas.items()
        if quota.used >= quota.limit and not quota.is_history_unknown
    ]
    if full:
        return warned(
            phrase("used up: {full}", full=", ".join(full)),
            "wait: the hub goes on by itself; many restarts use a quota up",
        )
    uptime_s = found.status.clock.uptime_s
    assumed = [
        f"{name}: requests before this boot count for {duration(max(0, quota.window_s - uptime_s))} more"
        for name, quota in found.status.quotas.items()
        if quota.is_history_unknown
    ]
    if assumed:
        return unknown(
            phrase("how many are left is not known ({assumed})", assumed=", ".join(assumed)),
            "wait: the hub goes on by itself",
        )
    return passed("no quota is used up")


def _cloud(found: Documents) -> Finding:
    link = found.status.link
    if link.state in {"unprovisioned", "key_refused", "untried"}:
        return unknown("the cloud was not asked with a valid key")
    failing = [name for name, endpoint in link.endpoints.items() if endpoint.is_failing]
    if link.state == "down" or failing:
        said, remedy = REMEDIES.get(link.cause, REMEDIES["no_answer"])
        text = phrase(
            "the cloud {said} ({reason}), for {time}", said=said, reason=link.reason, time=duration(link.since_s)
        )
        if link.state == "down":
            return failed(text, remedy, RETRY_CLOUD)
        return warned(phrase("{text}: {failing}", text=text, failing=", ".join(failing)), remedy, RETRY_CLOUD)
    return _uptake(found.status)


def _uptake(status: HubStatus) -> Finding:
    accepted_s = status.outbox.accepted_age_s
    if accepted_s is None:
        return passed(phrase("requests work for {time}; no reading was due yet", time=duration(status.link.since_s)))
    return passed(phrase("the cloud accepted a reading {time} ago", time=duration(accepted_s)))


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.NETWORK,
        "link",
        "Link",
        "Cable or Wi-Fi: the lowest layer. The hub heats without it.",
        lambda facts: facts.network,
        _link,
    ),
    check(
        Group.NETWORK,
        "address",
        "Address",
        "The router gives the hub an address.",
        lambda facts: facts.network,
        _address,
    ),
    check(
        Group.NETWORK,
        "gateway",
        "Router",
        "All requests leave through the router.",
        lambda facts: facts.network,
        _gateway,
    ),
    check(
        Group.NETWORK,
        "dns",
        "Name server",
        "It finds the address of the cloud's name, or of the proxy's.",
        lambda facts: facts.cloud,
        _dns,
    ),
    check(
        Group.NETWORK,
        "tcp",
        "Connection",
        "A connection to the cloud's port, or to the proxy.",
        lambda facts: facts.cloud,
        _tcp,
    ),
    check(
        Group.NETWORK,
        "tls",
        "Encryption",
        "The cloud proves who it is. Something that breaks TLS open on the way is found here.",
        lambda facts: facts.cloud,
        _tls,
    ),
    check(
        Group.NETWORK,
        "certificate",
        "Cloud's certificate",
        "A certificate that expires cuts every hub off at once.",
        lambda facts: facts.cloud,
        _certificate,
    ),
    check(
        Group.NETWORK,
        "http",
        "Cloud answers",
        "An HTTP request without a key, so that no quota is used.",
        lambda facts: facts.cloud,
        _http,
    ),
    check(
        Group.NETWORK,
        "clock-difference",
        "Clock against the cloud's",
        "Readings with a wrong time are wrong readings.",
        lambda facts: facts.cloud,
        _clock_difference,
    ),
    check(
        Group.NETWORK,
        "ipv6",
        "IPv6",
        "A half-working IPv6 delays each connection.",
        lambda facts: facts.cloud,
        _ipv6,
    ),
    check(
        Group.NETWORK,
        "proxy",
        "Proxy",
        "A proxy of the configuration or of the environment.",
        lambda facts: facts.cloud,
        _proxy,
    ),
    check(
        Group.NETWORK,
        "captive-portal",
        "Captive portal",
        "A guest network answers in the cloud's place until somebody signs in.",
        lambda facts: facts.cloud,
        _portal,
    ),
    check(
        Group.NETWORK,
        "key",
        "Hub's key",
        "The cloud takes readings from hubs with a valid key only.",
        lambda facts: facts.documents,
        _key,
    ),
    check(
        Group.NETWORK,
        "quota",
        "Quotas",
        "The cloud limits how often a hub may ask.",
        lambda facts: facts.documents,
        _quota,
    ),
    check(
        Group.NETWORK,
        "cloud",
        "Cloud takes readings",
        "What the hub's own requests have seen of the cloud lately.",
        lambda facts: facts.documents,
        _cloud,
    ),
)
