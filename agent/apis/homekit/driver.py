"""HAP-python's driver and connection as this hub runs them: no files, threads, sockets or announcement of the library.

The library keeps who is paired in memory and answers; a pairing, and what a controller sets, is answered once it is on
the disk. Its own log is silenced: strangers could fill it. Must never know what a zone is.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ed25519
from pyhap.accessory_driver import AccessoryDriver
from pyhap.const import CLIENT_PROP_PERMS, HAP_SERVER_STATUS
from pyhap.hap_handler import HAPResponse
from pyhap.hap_protocol import HAPServerProtocol
from pyhap.util import to_hap_json

from agent.apis.homekit.key_exchange import KeyExchange
from agent.apis.homekit.pairing_record import CONTROLLERS_MAX, Controller, PairingRecord

CONNECTIONS_MAX = 24
"""At once: sixteen controllers, and some that are only beginning."""

STRANGERS_MAX = 4
"""Connections of one address that are not those of a controller yet."""

STRANGER_S_MAX = 300.0
"""How long a connection may stay so: a person types a code meanwhile."""


class PairingGate(Protocol):
    """Decides who may pair, and keeps what has been paired."""

    def admits(self) -> bool:
        """Tell whether somebody may go on pairing now."""
        ...

    def count_start(self) -> None:
        """Count an attempt to pair."""
        ...

    def count_wrong(self) -> None:
        """Count a wrong code."""
        ...

    def paired(self, controller: str) -> None:
        """Take note that a controller has paired."""
        ...

    def unpaired(self, controller: str) -> None:
        """Take note that a controller was removed."""
        ...

    def save(self) -> "asyncio.Future[None]":
        """Have the controllers written; the future ends once they are, or with a `StorageFull`."""
        ...

    def save_zones(self) -> "asyncio.Future[None]":
        """Have what is set for the zones written; the future ends as that of `save`."""
        ...


class HubDriver(AccessoryDriver):
    """The driver of one hub: what it offers, and who is paired."""

    def __init__(self, gate: PairingGate, record: PairingRecord, *, now_ms: Callable[[], int]) -> None:
        """Prepare; nothing listens.

        Args:
            gate: Decides who may pair.
            record: What is remembered of earlier runs.
            now_ms: Returns boot time.
        """
        # The address and port are those of the announcement, which is not the library's here.
        super().__init__(
            loop=asyncio.get_running_loop(), address="127.0.0.1", port=1, mac=record.accessory_id, advertise=False
        )
        self._gate = gate
        self.now_ms = now_ms
        self.aio_stop_event = asyncio.Event()
        self.is_unsaved = False
        self.is_zone_unsaved = False
        """A controller has set something that is not on the disk yet."""
        self.written: Sequence[tuple[int, int]] = ()
        """The accessory and instance ids that the last write has named."""
        self.writer = ""
        """The controller whose request is carried out."""
        self.writer_address = ""
        """From where the request came that is carried out."""
        self.refresh: Callable[[], None] = lambda: None
        """Called before values are read."""
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(record.private_key))
        self.state.private_key, self.state.public_key = key, key.public_key()
        self.restore(record)

    def restore(self, record: PairingRecord) -> None:
        """Have the controllers of a record paired, and no others."""
        known = [(uuid.UUID(each.id), each) for each in record.controllers]
        state = self.state
        state.config_version = record.configuration
        state.paired_clients = {key: bytes.fromhex(each.public_key) for key, each in known}
        state.client_properties = {key: {CLIENT_PROP_PERMS: int(each.is_admin)} for key, each in known}
        state.uuid_to_bytes = {key: each.id.encode() for key, each in known}
        self.close_strangers()

    def controllers(self) -> tuple[Controller, ...]:
        """Return who is paired."""
        state = self.state
        return tuple(
            Controller(
                state.uuid_to_bytes.get(key, str(key).upper().encode()).decode(), public.hex(), state.is_admin(key)
            )
            for key, public in state.paired_clients.items()
        )

    def set_code(self, digits: str) -> None:
        """Have a code in force; an attempt with an earlier one fails."""
        self.state.pincode = digits.encode()
        self._srp_verifier: KeyExchange | None = None

    # What the library calls

    @property
    def pairing_locked_out(self) -> bool:
        """Whether nobody may pair now."""
        return not self._gate.admits()

    def setup_srp_verifier(self) -> None:
        """Begin to pair."""
        self._gate.count_start()
        self._srp_verifier = KeyExchange(self.state.pincode)

    def register_failed_pairing_attempt(self) -> None:
        """Count a wrong code."""
        self._gate.count_wrong()

    def pair(self, client_username_bytes: bytes, client_public: bytes, client_permissions: bytes) -> bool:
        """Take a controller; false where there are too many."""
        key = uuid.UUID(client_username_bytes.decode())
        if key not in self.state.paired_clients and len(self.state.paired_clients) >= CONTROLLERS_MAX:
            return False
        self.state.add_paired_client(client_username_bytes, client_public, client_permissions)
        self.is_unsaved = True
        self._gate.paired(short_name(key))
        return True

    def unpair(self, client_uuid: uuid.UUID) -> None:
        """Remove a controller; with the last administrator all."""
        self.state.remove_paired_client(client_uuid)
        self.is_unsaved = True
        self._gate.unpaired(short_name(client_uuid))

    def async_persist(self) -> None:
        """Write nothing: all that has to last is written by `save`."""

    def save(self) -> "asyncio.Future[None]":
        """Have written what the last request has changed: the controllers, or what is set for the zones."""
        if self.is_zone_unsaved:
            self.is_zone_unsaved = False
            return self._gate.save_zones()
        self.is_unsaved = False
        return self._gate.save()

    def get_accessories(self, include_value: bool = True) -> dict[str, Any]:
        """Return what the hub offers, with present values."""
        if include_value:
            self.refresh()
        found: dict[str, Any] = super().get_accessories(include_value)
        return found

    def get_characteristics(self, char_ids: list[str]) -> dict[str, Any]:
        """Return present values."""
        self.refresh()
        found: dict[str, Any] = super().get_characteristics(char_ids)
        return found

    def set_characteristics(self, chars_query: dict[str, Any], client_addr: tuple[str, int]) -> dict[str, Any] | None:
        """Carry out what a controller has written, and show what came of it."""
        connection = self.http_server.connections.get(client_addr)
        self.writer = short_name(connection.handler.client_uuid) if connection else ""
        self.written = [(each["aid"], each["iid"]) for each in chars_query["characteristics"]]
        try:
            answer: dict[str, Any] | None = super().set_characteristics(chars_query, client_addr)
        finally:
            self.refresh()
        return answer

    # Connections

    def admit(self, made: "HubConnection") -> bool:
        """Tell whether a new connection may stay; the oldest stranger may have to make room for it."""
        strangers = [each for each in self._connections() if not each.is_controller and each is not made]
        if sum(each.source == made.source for each in strangers) >= STRANGERS_MAX:
            return False
        if len(self.http_server.connections) <= CONNECTIONS_MAX:
            return True
        if strangers:
            strangers[0].close()
        return bool(strangers)

    def close_strangers(self) -> None:
        """Close connections of controllers that are paired no longer, and of strangers that take too long."""
        oldest_ms = self.now_ms() - STRANGER_S_MAX * 1000
        for each in self._connections():
            is_late = not each.is_controller and each.made_ms < oldest_ms
            if is_late or (each.is_controller and each.handler.client_uuid not in self.state.paired_clients):
                each.close()

    def close_all(self) -> None:
        """Close every connection: the hub ends."""
        self.aio_stop_event.set()
        for each in self._connections():
            each.close()

    def _connections(self) -> "list[HubConnection]":
        return list(self.http_server.connections.values())


class HubConnection(HAPServerProtocol):
    """One connection."""

    def __init__(self, driver: HubDriver) -> None:
        """Prepare; nobody is connected."""
        super().__init__(driver.loop, driver.http_server.connections, driver)
        self._driver = driver
        self.made_ms = driver.now_ms()

    @property
    def is_controller(self) -> bool:
        """Whether the other end has shown that it is paired."""
        return self.handler is not None and self.handler.is_encrypted

    @property
    def source(self) -> str:
        """The address of the other end."""
        return str(self.peername[0]) if self.peername else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if not self._driver.admit(self):
            self.close()

    def data_received(self, data: bytes) -> None:
        """Carry out what has come, all of it at once."""
        self._driver.writer_address = self.source
        super().data_received(data)

    def _process_response(self, response: HAPResponse) -> None:
        """Send an answer. Who has been paired or unpaired, and what has been set, is on the disk before.

        What the disk does not take is answered with an error: the pairing is undone, and what was set stays in force.
        """
        # The library would take a thread to renew its announcement, which is not in use.
        response.pairing_changed = False
        if not (self._driver.is_unsaved or self._driver.is_zone_unsaved):
            super()._process_response(response)
            return
        written = self._driver.written if self._driver.is_zone_unsaved else ()
        saved = self._driver.save()
        body = response.body
        answered: asyncio.Future[bytes] = self.loop.create_future()

        def answer(done: "asyncio.Future[None]") -> None:
            if answered.done():
                return
            error = done.exception()
            if error is None:
                answered.set_result(body)
            elif written:
                response.status_code, response.reason = HTTPStatus.MULTI_STATUS.value, HTTPStatus.MULTI_STATUS.phrase
                response.headers = [("Content-Type", self.handler.JSON_RESPONSE_TYPE)]
                answered.set_result(_refused(written))
            else:
                answered.set_exception(error)

        saved.add_done_callback(answer)
        response.task = answered
        super()._process_response(response)
        # After the answer: the controller that has removed itself receives it.
        answered.add_done_callback(lambda _: self._driver.close_strangers())


def short_name(key: "uuid.UUID | None") -> str:
    """Return a controller as the audit trail and facts name it: the beginning of its id."""
    return str(key).upper()[:8] if key else ""


def _refused(written: Sequence[tuple[int, int]]) -> bytes:
    """Return the body of a 207 that refuses every write (HomeKit Accessory Protocol, R2, section 6.7.2.2)."""
    status = HAP_SERVER_STATUS.OUT_OF_RESOURCE
    body: bytes = to_hap_json({"characteristics": [{"aid": aid, "iid": iid, "status": status} for aid, iid in written]})
    return body


def silence_library() -> None:
    """Keep the library's records out of the log: they are about strangers, and one for each request at best."""
    logging.getLogger("pyhap").setLevel(logging.CRITICAL + 1)
