"""What the published pages and the published client of Aurra facts leave open, decided here, each with its reason."""

from http import HTTPStatus

from agent.apis.face import Limit

FULL_STATUS = HTTPStatus.TOO_MANY_REQUESTS
"""The store is full (`blocked` of the plan). 402 and 403 are possible too; the client has an exception for this one."""

OUT_OF_RANGE_STATUS = HTTPStatus.BAD_REQUEST
"""A value outside its range, or two fields that exclude each other. The client expects its `AurraValidationError` for
`min_confidence`, and it raises that for 400 only."""

WRONG_TYPE_STATUS = HTTPStatus.UNPROCESSABLE_ENTITY
"""A required field that is missing, or a field of another type, as published. 400 is said for wrong types as well;
the published client makes no difference of the two for people."""

UNKNOWN_STATUS = HTTPStatus.NOT_FOUND
"""A memory of somebody else. 403 is published, the client expects 404, which tells nobody that the memory exists."""

HUB_FACT_STATUS = HTTPStatus.FORBIDDEN
"""The hub's own facts are read by every client and changed by none: "belongs to another account" is what 403 means."""

CREATED_TEXT = "success"
SUPERSEDED_TEXT = "superseded"
UPDATED_TEXT = "updated"
"""Words of `status`; only the second one is published."""

CREATED_EVENT = "memory.created"
SUPERSEDED_EVENT = "memory.superseded"
EXPIRED_EVENT = "memory.expired"
"""Words of the audit's `event`; only the first one is published."""

DEFAULT_LIMIT, LIMIT_MAX = 20, 100
"""Of a list; the client asks for 20. The largest number is not published."""
QUESTION_LIMIT, QUESTION_LIMIT_MAX = 10, 50

PLAN_TIER = "hub"
"""The tiers are not published, and a hub has one."""

SKIPPED_REASON = "the hub runs no model: supersede the old memory yourself"
"""Of automatic supersession, which is never done."""

REQUESTS = Limit("facts", 120)
WRITES = Limit("facts-writes", 30)
QUESTIONS = Limit("facts-questions", 20)
"""A minute. The numbers are not published; each write is a synced commit on a card, and a question looks through the
facts of years."""
