"""Asks the cloud whether it takes the hub's key, and tells it the time zone of the home. Stores nothing."""

import random
from collections.abc import Mapping

import msgspec

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import Endpoint
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import ConnectionOptions, client_tls, new_session, tcp_connector
from agent.config import CloudConfig
from agent.config.network import ProxyRules, verifying_context
from agent.errors import Refused, Throttled
from agent.foundation.clock import SystemClock

REQUEST_S_MAX = 15.0
"""A person waits."""


class CloudAnswer(msgspec.Struct, frozen=True):
    """What the cloud has said.

    Attributes:
        time_zone: Of the home, as the cloud has it now; empty where it has none.
        problem: Why the cloud has not taken the time zone; empty where it has.
    """

    time_zone: str = ""
    problem: str = ""


async def ask_cloud(cloud: CloudConfig, key: str, time_zone: str, environ: Mapping[str, str]) -> CloudAnswer:
    """Fetch the hub's settings with its key, and set the time zone where it is another.

    Args:
        cloud: Its address, proxy and certificate authorities.
        key: The hub's key.
        time_zone: IANA name; empty to leave it.
        environ: Of the process, for the proxy.

    Raises:
        CloudUnavailable: No usable answer: whether the key is right is not known.
        ConfigInvalid: The hub's certificate for the cloud cannot be used.
        Unauthorized: The cloud refuses the key.
        Refused: The cloud answers that there is no such API.
    """
    clock = SystemClock()
    verified = verifying_context(str(cloud.ca_file)) if cloud.ca_file else True
    options = ConnectionOptions(verified, ProxyRules(cloud.proxy, environ), client_tls(cloud))
    async with new_session(tcp_connector(None), user_agent="climahub-setup") as session:
        client = CloudClient(
            session,
            base_url=cloud.base_url,
            read_key=lambda: key,
            clock=clock,
            connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random()),  # noqa: S311 - jitter
            ledger=QuotaLedger(None, clock.boot_id),
            request_timeout_s=min(cloud.request_timeout_s, REQUEST_S_MAX),
            compress=False,
            options=options.for_url,
        )
        found = await client.settings.get_settings()
        before = found.get("timezone")
        known = before if isinstance(before, str) else ""
        if not time_zone or time_zone == known:
            return CloudAnswer(known)
        try:
            # Within a minute of the boot the quota is not known to be free.
            await client.settings.ready(Endpoint.SETTINGS_PUT)
            await client.settings.put_settings({"timezone": time_zone})
        except (Refused, Throttled) as error:
            return CloudAnswer(known, f"set the time zone in the cloud: {error}")
        return CloudAnswer(time_zone)
