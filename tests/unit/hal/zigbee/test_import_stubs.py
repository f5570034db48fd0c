"""zigpy without what is seldom used: what is used after all is the real thing. Each in an interpreter of its own."""

import subprocess
import sys

import pytest

pytest.importorskip("zigpy")

BEGIN = """
import sys
from hal.zigbee import import_stubs
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_neither_cryptography_nor_schemas_are_imported_with_zigpy() -> None:
    run("""
import_stubs.import_zigpy()
import hal.zigbee.radio, bellows.zigbee.application
assert not {"cryptography", "jsonschema"} & {*sys.modules}
""")


def test_install_code_is_hashed_by_the_real_package() -> None:
    """The code and its key are the example of Base Device Behaviour 1.0, section 10.1.1."""
    run("""
import_stubs.import_zigpy()
import zigpy.util
code = bytes.fromhex("83FED3407A939723A5C639B26916D505C3B5")
key = zigpy.util.convert_install_code(code).serialize().hex().upper()
assert key == "66B6900981E1EE3CA4206B6B861C02BB", key
import cryptography.exceptions, cryptography.hazmat.primitives.ciphers as real
import zigpy.device, zigpy.zgp.crypto
assert zigpy.util.Cipher is real.Cipher
assert zigpy.device.InvalidTag is cryptography.exceptions.InvalidTag
assert zigpy.zgp.crypto.AESCCM is real.aead.AESCCM
""")


def test_forged_green_power_frame_raises_the_real_exception() -> None:
    run("""
import_stubs.import_zigpy()
from zigpy.zgp import crypto, manager
try:
    crypto.AESCCM(bytes(16), tag_length=4).decrypt(bytes(13), bytes(8), b"")
except manager.InvalidTag:
    pass
""")


def test_other_importers_get_the_real_package() -> None:
    run("""
import threading
found = {}

def elsewhere():
    from cryptography.exceptions import InvalidTag
    found["elsewhere"] = InvalidTag

with import_stubs._stubs():
    namespace = {"__name__": "zigpy.somewhere"}
    exec("from cryptography.exceptions import InvalidTag", namespace)
    assert namespace["InvalidTag"].__module__ != "cryptography.exceptions"
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    from cryptography.exceptions import InvalidTag as mine
assert found["elsewhere"] is mine
assert mine.__module__ == "cryptography.exceptions"
import builtins, ssl
assert "import_stubs" not in repr(builtins.__import__) + repr(ssl.create_default_context)
""")


def test_unexpected_use_of_a_stub_imports_the_real_package() -> None:
    run("""
stand_in = import_stubs._StubModule
stand_in.__getattr__ = lambda self, name: 1 / 0 if name == "InvalidTag" else (_ for _ in ()).throw(AttributeError(name))
import_stubs.import_zigpy()
import zigpy.util, cryptography.hazmat.primitives.ciphers as real
assert zigpy.util.Cipher is real.Cipher
""")
