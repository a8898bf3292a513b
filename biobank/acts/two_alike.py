"""Acts whose two people need the same right at the same places: one step takes the signature, and proposes or completes."""

from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Completed, Proposed, propose_or_complete
from biobank.auth.permissions import Permission


class SignedByTwo(Protocol):
    """A request that either of two people sends, each with a signature of their own."""

    signature: str | None
    pending_act: UUID | None


def two_sign(
    session: Session,
    act: Act,
    name: str,
    subject: str,
    body: dict[str, Any],
    request: SignedByTwo,
    needs: Permission,
    *,
    site: str | None,
    and_at: Collection[str] = (),
    meaning: Meaning = Meaning.DECIDED,
) -> Proposed | Completed:
    """Use the signature of the request, and propose the act or complete it. `needs`: of both people, at `site` and `and_at`.

    Whose hands the request names (`performed_by`, where it has that) do not sign second. Raises what `use_signature` and
    `propose_or_complete` raise.
    """
    return propose_or_complete(
        session,
        act,
        name,
        subject,
        body,
        use_signature(session, act, request.signature, meaning),
        request.pending_act,
        hands=getattr(request, "performed_by", ()),
        needs=needs,
        first_needs=needs,
        site=site,
        and_at=and_at,
    )


def one_or_two_sign(
    session: Session,
    act: Act,
    name: str,
    subject: str,
    body: dict[str, Any],
    request: SignedByTwo,
    needs: Permission,
    *,
    two: bool,
    site: str | None,
    and_at: Collection[str] = (),
) -> Proposed | tuple[str, ...]:
    """Return the signatures of a decision that takes two people only where `two` says so, or what one of them proposed.

    Raises what `two_sign` raises. That a single person may decide it, the caller has asked.
    """
    if not two:
        return (str(use_signature(session, act, request.signature, Meaning.DECIDED).id),)
    step = two_sign(session, act, name, subject, body, request, needs, site=site, and_at=and_at)
    return step if isinstance(step, Proposed) else step.signatures
