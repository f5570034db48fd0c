"""What bytes from outside may do to a decoder: one name for it, so that no border forgets a kind. No behaviour."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not as expected: beside its own error, one for text that is not UTF-8, and one
for objects within objects within objects."""
