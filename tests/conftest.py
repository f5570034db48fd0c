"""For all tests: in CI, hypothesis tries the same examples each time, so that a landing does not hang on luck.

Locally it looks for new ones; what it finds is pinned with `@example` or a test of its own.
"""

import os

from hypothesis import settings

# No deadline: a slow moment of a busy machine is not a defect. How fast things are is measured in tests/bench.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
else:
    settings.load_profile("local")
