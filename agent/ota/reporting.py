"""Tells the cloud how an update goes, beside the update: nothing ever waits for it, and nothing fails with it."""

import asyncio
import logging

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.errors import Refused, StorageFull, Transient, Unauthorized
from agent.ota.lifecycle import StatusReport
from agent.ota.store import UpdateStore

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 10.0
"""Between two words of one download: with the changes of state, well below the 10 a minute of the quota."""
RETRY_S = 30.0
"""Pause after a refused key, which `Link` does not put off by itself at once."""
ERROR_CHARACTERS_MAX = 500


class StatusReporter:
    """Sends what waits in the book, oldest first, until the cloud has it; of progress, only the newest."""

    def __init__(self, store: UpdateStore, client: CloudClient) -> None:
        self._store = store
        self._client = client
        self._changed = asyncio.Event()
        store.on_change(self._changed.set)

    async def run(self) -> None:
        """Work, until cancelled."""
        while True:
            self._changed.clear()
            if not self._store.record.reports:
                await self._changed.wait()
                continue
            await self._client.ready(Endpoint.OTA_STATUS)
            reports = self._store.record.reports  # what waited meanwhile may have been overtaken
            if reports:
                await self._send(reports[0])

    async def _send(self, report: StatusReport) -> None:
        try:
            await self._client.post_update_status(
                report.version,
                report.status,
                progress_percent=report.progress_percent,
                error_message=report.error_message[:ERROR_CHARACTERS_MAX],
            )
        except Refused as error:
            _log.warning("the cloud does not take that the update is %s: %s", report.status, error)
        except Unauthorized:
            await asyncio.sleep(RETRY_S)
            return
        except Transient:
            return  # the link has put the endpoint off
        try:
            await self._store.mark_reported(report)
        except StorageFull:
            return
        if report.progress_percent is not None:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
