"""A certificate is made in a process of its own, so that the daemon keeps neither its library nor its key in a text."""

import subprocess
import sys

import pytest
from cryptography import x509

from agent.port.http import certificate_maker
from agent.port.http.certificate_maker import CertificateNotMade, make_apart, validity

NOW_MS = 1_800_000_000_000

APART = """
import sys
from agent.port.http.certificate_maker import make_apart
assert make_apart(["cellar"], None).certificate
print([name for name in sys.modules if name.startswith("cryptography")])
"""


def test_the_process_makes_what_was_ordered() -> None:
    made = make_apart(["cellar", "hüb", "\ud800", "192.168.1.7"], NOW_MS)
    assert made.ends_ms == validity(NOW_MS)[1]
    assert "PRIVATE KEY" in made.key
    found = x509.load_pem_x509_certificate(made.certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cellar", "xn--hb-xka"]


def test_this_process_never_loads_the_library() -> None:
    done = subprocess.run([sys.executable, "-c", APART], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_that_cannot_be_used_are_refused_as_before() -> None:
    with pytest.raises(ValueError, match="there is no plain name"):
        make_apart(["\ud800"], NOW_MS)


@pytest.mark.parametrize(
    "program",
    [
        "print('a secret')",
        "import sys; print('a secret', file=sys.stderr); sys.exit(1)",
        "print('{\"made\": 7}')",
        "import time; time.sleep(60)",
    ],
)
def test_a_process_that_fails_is_tried_again_later_and_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(certificate_maker, "_PROGRAM", program)
    monkeypatch.setattr(certificate_maker, "MAKING_S_MAX", 1.0)
    with pytest.raises(CertificateNotMade, match="tries again soon") as caught:
        make_apart(["cellar"], NOW_MS)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_machine_without_room_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CertificateNotMade, match="FileNotFoundError"):
        make_apart(["cellar"], NOW_MS)
