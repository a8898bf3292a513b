"""Every way the bank says no.

    Refusal                       status  code                         when
    ├── MalformedRequest          422     malformed_request            the body or a parameter does not have the documented shape
    ├── NotSignedIn               401     not_signed_in                no valid token or session
    │   └── TokenExpired          401     token_expired                the token was right and is too old
    ├── NotPermitted              403     not_permitted                the caller may see the thing and may not do this to it
    ├── NotFound                  404     not_found                    it does not exist, or the caller may not know that it does
    ├── Conflict                  409     conflict                     the state of the world forbids it now
    │   ├── StaleSequence         409     stale_sequence               someone else wrote to the stream first
    │   └── IllegalTransition     409     illegal_transition           the custody rules have no such move from here
    ├── PreconditionMissing       428     expected_seq_required        an event without `expected_seq`
    ├── TooManyAttempts           429     too_many_attempts            slow down
    └── Unavailable               503     unavailable                  a part we need is down; safe to try again

Features add leaves of their own beside the rule they enforce. The grammar of a code is `snake_case`, it never changes once
published, and the same code never means two things. A 422 means "malformed" and nothing else: a well-formed request that
the bank declines is a 409 or a 403.

`detail` is one sentence a person can act on. It may hold codes (specimen, position …) and never personal data.
`where_now` answers "and where do I put the tube in my hand?"; every stop at the bench carries it.

A refusal is normally raised: the transaction rolls back and the attempt is written down in a second one. A refusal that is
itself evidence (a wrong tube at the bedside, say) is *returned* by the use case inside `Refused`, so that the attempt and
the hold it causes commit before the answer leaves (`acts/web.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

PROBLEM_TYPE = "application/problem+json"


class Refusal(Exception):
    """The root: a typed no with a status, a stable code and a sentence."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "Refused"

    def __init__(self, detail: str, *, where_now: str | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.where_now = where_now
        self.members = members

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 problem document."""
        document: dict[str, Any] = {
            "type": f"urn:biobank:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.where_now is not None:
            document["where_now"] = self.where_now
        document.update(self.members)
        return document


class MalformedRequest(Refusal):
    """The request does not have the documented shape; `errors` lists the fields."""

    status = 422
    code = "malformed_request"
    title = "This cannot be read"


class MissingIdempotencyKey(MalformedRequest):
    """Every POST names itself, so that a retry after a lost answer is not a second act."""

    status = 400
    code = "idempotency_key_required"
    title = "Idempotency-Key required"


class IdempotencyKeyReused(Refusal):
    """The same key came with another request."""

    status = 422
    code = "idempotency_key_reused"
    title = "Idempotency-Key reused"


class NotSignedIn(Refusal):
    """No valid token or session."""

    status = 401
    code = "not_signed_in"
    title = "Not signed in"


class TokenExpired(NotSignedIn):
    """The token was genuine and is too old."""

    code = "token_expired"
    title = "Token expired"


class NotPermitted(Refusal):
    """The caller may see the thing and may not do this to it."""

    status = 403
    code = "not_permitted"
    title = "Not permitted"


class NotFound(Refusal):
    """It does not exist, or the caller may not know that it does."""

    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(Refusal):
    """The address exists and does not answer this method."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class NotAcceptable(Refusal):
    """The asked-for format is not one we write."""

    status = 406
    code = "not_acceptable"
    title = "Not acceptable"


class Conflict(Refusal):
    """The state of the world forbids it now."""

    status = 409
    code = "conflict"
    title = "Conflict"


class AlreadyExists(Conflict):
    """The name or identifier is taken."""

    code = "already_exists"
    title = "Already exists"


class StaleSequence(Conflict):
    """Someone else wrote to the stream first; `head` is its sequence now."""

    code = "stale_sequence"
    title = "The record moved on"


class GoesOnElsewhere(Conflict):
    """What has this code goes on under another. A reader is sent there (308); an act is refused and says the code."""

    def __init__(self, detail: str, *, before: str, now: str) -> None:
        super().__init__(detail, subject=before, now=now)
        self.before, self.now = before, now


class IllegalTransition(Conflict):
    """The custody rules have no such move from here."""

    code = "illegal_transition"
    title = "Not possible in this state"


class PayloadTooLarge(Refusal):
    """The body is larger than this call takes."""

    status = 413
    code = "payload_too_large"
    title = "Payload too large"


class PreconditionMissing(Refusal):
    """An event without `expected_seq`: the writer must say which history it saw."""

    status = 428
    code = "expected_seq_required"
    title = "Say which state you saw"


class TooManyAttempts(Refusal):
    """Slow down; `retry_after_s` says how long."""

    status = 429
    code = "too_many_attempts"
    title = "Too many attempts"


class Unavailable(Refusal):
    """A part we need is down; the same request may be sent again with the same key."""

    status = 503
    code = "unavailable"
    title = "Not available now"
    retry_after_s = 1


class InternalError(Refusal):
    """A fault of ours. The detail never carries the exception's text: it could hold personal data."""

    status = 500
    code = "internal_error"
    title = "Internal error"


@dataclass(frozen=True)
class Refused:
    """A refusal that is evidence: returned by a use case so that what it wrote commits, then sent as the answer."""

    refusal: Refusal


def raise_first(refusals: Sequence[Refusal]) -> None:
    """Raise the first of an act's refusals, if there is one; a page shows all of them."""
    if refusals:
        raise refusals[0]


def title_of(status: int) -> str:
    """Return the HTTP phrase of a status, for framework errors that have no leaf here."""
    return HTTPStatus(status).phrase
