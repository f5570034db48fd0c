"""Whether two spellings name one version: `v1.3.0` and `1.3.0`, or `1.3.0-rc.1` and `1.3.0rc1`. Pure.

Clouds, tags, wheels and people spell one version differently. Order is none of this file's business: what is newer is
decided by the sequence number in the signed manifest.
"""

import re

_PUBLIC = re.compile(
    r"v?(?:(?P<epoch>\d{1,9})!)?(?P<release>\d{1,18}(?:\.\d{1,18})*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>\d{0,18}))?"
    r"(?:-(?P<implicit_post>\d{1,18})|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>\d{0,18}))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d{0,18}))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.ASCII,
)
"""The spellings that the version specifiers of Python packages admit (PyPA, "Version specifiers", appendix B)."""

_PRE_NAMES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def is_same_version(first: str, second: str) -> bool:
    """Tell whether two texts name the same version."""
    return first == second or _canonical(first) == _canonical(second)


def _canonical(text: str) -> tuple[object, ...]:
    """Return what all spellings of one version have in common."""
    text = text.strip().lower()
    match = _PUBLIC.fullmatch(text)
    if match is None:
        return (text.removeprefix("v") if text[1:2].isdigit() else text,)
    release = [int(each) for each in match["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    pre = match["pre"] and (_PRE_NAMES.get(match["pre"], match["pre"]), int(match["pre_number"] or 0))
    post = match["implicit_post"] or (match["post_number"] or "0" if match["post"] else None)
    dev = match["dev"] and int(match["dev_number"] or 0)
    local = match["local"] and re.split(r"[-_.]", match["local"])
    return (int(match["epoch"] or 0), tuple(release), pre, post and int(post), dev, local and tuple(local))
