"""Reports the state of an update to the cloud. Must never delay an update or make it fail."""

import asyncio
import logging

from agent.cloud.client import UpdatesClient
from agent.cloud.contract import Endpoint
from agent.errors import Refused, StorageFull, Transient, Unauthorized
from agent.ota.lifecycle import StatusReport
from agent.ota.store import UpdateStore

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 10.0
"""Between two reports of progress: with the changes of state, well below the quota of 10 a minute."""
RETRY_S = 30.0
"""Pause after a refused key, which `Connectivity` does not delay at once."""
ERROR_CHARACTERS_MAX = 500


class StatusReporter:
    """Sends the reports in the store, oldest first, until the cloud has them; of progress, only the newest."""

    def __init__(self, store: UpdateStore, client: UpdatesClient) -> None:
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
            reports = self._store.record.reports  # newer progress may have replaced a report
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
