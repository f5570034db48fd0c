"""For all tests: in CI, hypothesis tries the same examples each time, so that a landing does not hang on luck.

Locally it looks for new ones; what it finds is pinned with `@example` or a test of its own.
"""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
