"""A 1 GiB bundle over loopback: downloaded, verified on the way, on the disk; beside curl followed by sha256sum.

python tests/bench/bench_update.py [--mib 1024]
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1024 * 1024

SERVER = """
import asyncio, sys
from pathlib import Path
from aiohttp import web

async def main(path):
    async def get(request):
        return web.FileResponse(path)
    app = web.Application()
    app.router.add_get("/v1/ota/download/{version}", get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""


def make_bundle(path: Path, size_mib: int, keys_dir: Path) -> None:
    """Write a signed bundle of one large image."""
    from agent.ota import bundle_builder, bundle_format  # noqa: PLC0415 - the measured process must not see what the making needs
    from lab.simulation.rollout import PRIVATE_KEY, public_key_pem  # noqa: PLC0415

    image = path.with_suffix(".image")
    noise = random.Random(1).randbytes(MIB)
    with image.open("wb") as file:
        for number in range(size_mib):
            file.write(number.to_bytes(8, "big") + noise[8:])
    with image.open("rb") as file:
        manifest = bundle_builder.build_image_manifest(file, bundle_builder.BundleTarget("2.0.0", 2, ("hub",)))
        head = bundle_format.encode_signed(
            PRIVATE_KEY,
            bundle_format.parse(bundle_format.encode_unsigned(manifest)[bundle_format.PRELUDE_BYTES :]).payload,
        )
        file.seek(0)
        with path.open("wb") as bundle:
            bundle.write(head)
            shutil.copyfileobj(file, bundle, MIB)
    image.unlink()
    (keys_dir / "k.pub").write_bytes(public_key_pem())


async def download(port: int, size_bytes: int, directory: Path) -> dict[str, float]:
    """Fetch it as a hub does; return the rate and what memory it took."""
    from agent.cloud.client import CloudClient  # noqa: PLC0415
    from agent.cloud.connectivity import Connectivity  # noqa: PLC0415
    from agent.cloud.contract import QUOTAS, Endpoint, Quota  # noqa: PLC0415
    from agent.cloud.quota import QuotaLedger  # noqa: PLC0415
    from agent.cloud.session import new_session, tcp_connector  # noqa: PLC0415
    from agent.foundation.clock import SystemClock  # noqa: PLC0415
    from agent.foundation.disk import Disk  # noqa: PLC0415
    from agent.foundation.staging_files import StagingFiles  # noqa: PLC0415
    from agent.foundation.worker import ThreadWorker  # noqa: PLC0415
    from agent.ota.download import Downloader  # noqa: PLC0415
    from agent.ota.keyring import TrustStore  # noqa: PLC0415
    from agent.ota.manifest import HubFacts, Offer, PayloadType  # noqa: PLC0415
    from agent.ota.slots import Slots  # noqa: PLC0415
    from agent.ota.staging import Staging, StagingLimits  # noqa: PLC0415

    QUOTAS[Endpoint.OTA_DOWNLOAD] = Quota(5, 1)
    clock, disk, worker = SystemClock(trust_wall_clock=True), Disk(), ThreadWorker("updates")
    trees = StagingFiles(directory, disk)
    slots = Slots(trees, disk, running="base")
    facts = HubFacts("hub", os.uname().machine, "", 1, 0, None, payload_types=(PayloadType.APP, PayloadType.RAUC))
    limits = StagingLimits(allow_unsigned=False, size_bytes_max=2**33, disk_free_bytes_min=0)
    staging = Staging(
        trees, slots, trust_store=TrustStore(directory, directory / "keys", disk), limits=limits, facts=lambda: facts
    )
    async with new_session(tcp_connector(None), user_agent="bench") as session:
        client = CloudClient(
            session, base_url=f"http://127.0.0.1:{port}", read_key=lambda: "cs_dev_" + "0" * 32, clock=clock,
            connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
            ledger=QuotaLedger(None, "boot"), request_timeout_s=30, compress=False,
        )  # fmt: skip
        downloader = Downloader(
            client.updates, staging, worker, rate_bytes_s_min=1, deadline_s=600, on_progress=lambda _: None
        )
        began_s = time.perf_counter()
        await downloader.attempt(Offer("2.0.0", "", size_bytes))
        took_s = time.perf_counter() - began_s
    worker.close()
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)  # noqa: ASYNC240
    return {"mib_per_s": round(size_bytes / MIB / took_s, 1), "peak_rss_mib": round(int(peak.split()[1]) / 1024, 1)}


def with_curl(port: int, directory: Path) -> float:
    """Return the rate of the plain tools, in MiB/s, or 0 where there is no curl."""
    if shutil.which("curl") is None:
        return 0.0
    target = directory / "curl.bin"
    began_s = time.perf_counter()
    subprocess.run(["curl", "-s", "-o", target, f"http://127.0.0.1:{port}/v1/ota/download/2.0.0"], check=True)
    subprocess.run(["sha256sum", target], check=True, stdout=subprocess.DEVNULL)
    took_s = time.perf_counter() - began_s
    size = target.stat().st_size
    target.unlink()
    return round(size / MIB / took_s, 1)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--child", nargs=3, metavar=("PORT", "BYTES", "DIRECTORY"))
    options = parser.parse_args()
    if options.child:
        port, size, directory = options.child
        print(json.dumps(asyncio.run(download(int(port), int(size), Path(directory)))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        (Path(scratch) / "keys").mkdir()
        make_bundle(bundle, options.mib, Path(scratch) / "keys")
        server = subprocess.Popen([sys.executable, "-c", SERVER, bundle], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            command = [sys.executable, __file__, "--child", port, str(bundle.stat().st_size), scratch]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(ran.stdout)
            (Path(scratch) / "update.bundle").unlink()
            found["curl_then_sha256sum_mib_per_s"] = with_curl(int(port), Path(scratch))
        finally:
            server.kill()
            server.wait()
    print(json.dumps({"payload_mib": options.mib, **found}))


if __name__ == "__main__":
    main()
