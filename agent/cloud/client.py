"""The client of ClimaSense: one class per subject of the API, all over one transport.

The caller owns retries. Every method that sends a request raises `CloudUnavailable` (whether the request arrived is not
known: send the same again), `Throttled` (it did not arrive: send the same again), `Unauthorized` (the key is refused)
or `Refused` (the request is not acceptable as it is).
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from agent.cloud import contract
from agent.cloud.compression import CompressionTrial, gzip_body
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import Endpoint
from agent.cloud.key_sharing import KeySharing
from agent.cloud.quota import QuotaLedger, SlidingWindow
from agent.cloud.session import DataUsage, RequestOptions
from agent.cloud.transport import CloudTransport, RequestNotSent
from agent.errors import CloudUnavailable, Refused
from agent.foundation.clock import Clock, Timekeeper


class EndpointClient:
    """What the client of each subject has: when a request may be sent, and how its endpoints do."""

    def __init__(self, transport: CloudTransport) -> None:
        self._transport = transport

    @property
    def has_key(self) -> bool:
        """Whether the hub has a key; without one, no request is sent."""
        return self._transport.has_key

    @property
    def connectivity(self) -> Connectivity:
        """The health of each endpoint and of the connection."""
        return self._transport.connectivity

    @property
    def quotas(self) -> Mapping[Endpoint, SlidingWindow]:
        """The quota of each endpoint."""
        return self._transport.quotas

    def wait_s(self, endpoint: Endpoint) -> float:
        """Return how long until a request to ``endpoint`` may be sent; 0 for now."""
        return self._transport.wait_s(endpoint)

    async def ready(self, endpoint: Endpoint) -> None:
        """Wait until a request to ``endpoint`` may be sent."""
        await self._transport.ready(endpoint)


class TelemetryClient(EndpointClient):
    """Sends readings (contract section 3)."""

    def __init__(self, transport: CloudTransport, *, compress: bool) -> None:
        super().__init__(transport)
        self.compression = CompressionTrial(is_wanted=compress)

    async def post_telemetry(self, readings: Iterable[tuple[str, float, int, str | None]]) -> int | None:
        """Send 1 to 100 readings, each (sensor_type, value, utc_ms, device_id or `None` for the hub itself).

        Returns:
            How many the cloud accepted; `None` where it answered without a number (202 or 204 without a body).

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        body = contract.encode_telemetry(readings)
        is_compressed = self.compression.should_compress(len(body))
        try:
            accepted = await self._transport.request(
                Endpoint.TELEMETRY,
                contract.parse_accepted_count,
                gzip_body(body) if is_compressed else body,
                encoding="gzip" if is_compressed else "",
            )
        except Refused as error:
            if self.compression.record_refused(error.status, is_compressed=is_compressed):
                raise CloudUnavailable(f"{error}; sending the same without gzip", retry_after_s=0.0) from error
            raise
        except RequestNotSent:
            raise
        except CloudUnavailable:
            self.compression.record_failed(is_compressed=is_compressed)
            raise
        self.compression.record_accepted(is_compressed=is_compressed)
        return accepted


class SettingsClient(EndpointClient):
    """Reads and changes the device settings (contract section 4)."""

    async def get_settings(self) -> contract.SettingsObject:
        """Return the device settings that the cloud has.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        return await self._transport.request(Endpoint.SETTINGS_GET, contract.parse_settings)

    async def put_settings(self, changes: Mapping[str, Any]) -> contract.SettingsObject:
        """Change some settings; return all that the cloud has then.

        Raises:
            ValueError: ``changes`` is empty, which the cloud may refuse (contract section 4.2).
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        if not changes:
            raise ValueError("no setting to change")
        body = msgspec.json.encode(changes)
        return await self._transport.request(Endpoint.SETTINGS_PUT, contract.parse_settings, body)


class ProvisioningClient(EndpointClient):
    """Registers relayed sensors (contract section 7)."""

    async def register_sensor(self, sensor_api_key: str, ieee_address: str) -> contract.RegisterResponse:
        """Bind a relayed sensor to this hub and return its identity.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        body = msgspec.json.encode(contract.RegisterRequest(sensor_api_key, ieee_address or None))
        return await self._transport.request(Endpoint.ZIGBEE_REGISTER, contract.parse_registration, body)


class CommandsClient(EndpointClient):
    """Fetches and acknowledges commands (contract section 5)."""

    async def get_pending_commands(self) -> list[bytes]:
        """Return the pending commands of this hub, oldest first, each as the JSON that was received.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        return await self._transport.request(Endpoint.COMMANDS_PENDING, contract.parse_pending_commands)

    async def ack_command(
        self, command_id: str, status: str, *, error_message: str = "", result: Mapping[str, Any] | None = None
    ) -> None:
        """Report the outcome of a command.

        Args:
            command_id: As the cloud gave it.
            status: "acked" or "failed".
            error_message: Why it failed, at most 1 KiB.
            result: What it returned, at most 64 KiB of JSON.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module. Refused with 404 or 409: the command is
                settled in the cloud already.
        """
        body = msgspec.json.encode(contract.AckRequest(command_id, status, error_message or None, result))
        await self._transport.request(Endpoint.COMMANDS_ACK, contract.parse_acknowledgement, body)


class UpdatesClient(EndpointClient):
    """Finds, downloads and reports updates (contract section 6)."""

    async def check_update(self, current_version: str) -> contract.UpdateCheckResponse:
        """Return what the cloud offers to this hub.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        return await self._transport.request(
            Endpoint.OTA_CHECK, contract.parse_update_check, query={"current_version": current_version}
        )

    async def post_update_status(
        self, version: str, status: str, *, progress_percent: int | None = None, error_message: str = ""
    ) -> None:
        """Report the progress of an update (contract section 6.3).

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See the module.
        """
        body = contract.UpdateStatusRequest(version, status, progress_percent, error_message or None)
        await self._transport.request(Endpoint.OTA_STATUS, contract.parse_acknowledgement, msgspec.json.encode(body))

    def stream(
        self, endpoint: Endpoint, tail: str, headers: Mapping[str, str]
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Return a request whose response is read in pieces: see `CloudTransport.stream`."""
        return self._transport.stream(endpoint, tail, headers)


class CloudClient(EndpointClient):
    """All subjects over one transport.

    Attributes:
        telemetry: Sends readings.
        settings: Reads and changes the device settings.
        provisioning: Registers relayed sensors.
        commands: Fetches and acknowledges commands.
        updates: Finds, downloads and reports updates.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        read_key: Callable[[], str | None],
        clock: Clock,
        connectivity: Connectivity,
        ledger: QuotaLedger,
        request_timeout_s: float,
        compress: bool,
        timekeeper: Timekeeper | None = None,
        options: Callable[[URL], RequestOptions] = lambda _: RequestOptions(),
    ) -> None:
        """Prepare; no request is sent.

        Args:
            session: Made by `new_session`; in a simulation its connector leads to a simulated cloud.
            base_url: Without the `/v1`.
            read_key: Returns the hub's key, `None` without one. Called again after a 401, and every few seconds while
                there is none, so that a new key is found.
            clock: For quotas and for dates in responses.
            connectivity: Records successes and failures.
            ledger: The quota slots.
            request_timeout_s: Of a whole request, connecting included.
            compress: Send telemetry with gzip while the server accepts it.
            timekeeper: Receives the `Date` of each response that keeps the contract.
            options: Returns TLS and proxy of a request to an address.
        """
        super().__init__(
            CloudTransport(
                session,
                base_url=base_url,
                read_key=read_key,
                clock=clock,
                connectivity=connectivity,
                ledger=ledger,
                request_timeout_s=request_timeout_s,
                timekeeper=timekeeper,
                options=options,
            )
        )
        self.telemetry = TelemetryClient(self._transport, compress=compress)
        self.settings = SettingsClient(self._transport)
        self.provisioning = ProvisioningClient(self._transport)
        self.commands = CommandsClient(self._transport)
        self.updates = UpdatesClient(self._transport)

    @property
    def data_usage(self) -> Mapping[Endpoint, DataUsage]:
        """The bytes of the requests to each endpoint."""
        return self._transport.data_usage

    @property
    def key_sharing(self) -> KeySharing:
        """Whether another hub may use the same key."""
        return self._transport.key_sharing

    def retry_now(self) -> None:
        """Try every endpoint at once that waits after a failure, within the quotas."""
        self._transport.retry_now()

    def reload_key(self) -> None:
        """Read the key again; a new one is tried at once.

        Raises:
            ConfigInvalid: It cannot be read; the old one stays.
        """
        self._transport.reload_key()
