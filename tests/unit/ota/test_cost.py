"""What updates cost a hub that is not updating."""

import subprocess
import sys


def test_idle_daemon_imports_no_update_libraries() -> None:
    code = "import agent.daemon, sys; print(sorted({'cryptography', 'cbor2', 'tarfile'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
