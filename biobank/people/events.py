"""Events about those who act: the authority for an act is as provable as the act.

Logins have a stream each; sites share the system stream `SITES`. No name, login name or password is in any of them.
"""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission, Role
from biobank.custody.body_shape import COMMITS
from biobank.custody.event import Event
from biobank.custody.events import REASON
from biobank.custody.states import StreamKind
from biobank.foundation.jurisdictions import Jurisdiction

SITES = "SITES"
"""The system stream of every site."""

COMMIT = Field(pattern=r"^[0-9a-f]{64}$", description="Commitment to a vault document, in hex.", json_schema_extra=COMMITS)
SHA256 = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hex.")
PUBLIC_KEY = Field(pattern=r"^[0-9a-f]{64}$", description="Public half of an Ed25519 key, in hex.")
SITE = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")


class TwoPeople(Event):
    """Who proposed and who completed, with both signatures' ids; all null when the bank itself acted alone (set-up).

    The one who completed is also the entry's `by`. At the console the entry is the bank's, and `completed_by` is the second
    person who signed there.
    """

    stream: ClassVar[StreamKind] = StreamKind.USER

    proposed_by: str | None = Field(default=None, pattern=r"^US-[0-9A-Z]{7}$")
    completed_by: str | None = Field(default=None, pattern=r"^US-[0-9A-Z]{7}$")
    first_signature: str | None = Field(default=None, pattern=r"^[0-9a-f-]{36}$")
    second_signature: str | None = Field(default=None, pattern=r"^[0-9a-f-]{36}$")


class UserCreated(Event):
    """A login was made. It can do nothing until it is given a role. `identity` commits to login name and printed name."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.created"] = "user.created"
    permission: ClassVar[Permission] = Permission.USER_MANAGE
    starts: ClassVar[bool] = True

    identity: str = COMMIT


class UserRenamed(Event):
    """The printed name changed. The document before stays in the vault: old signatures bear the old name."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.renamed"] = "user.renamed"
    permission: ClassVar[Permission] = Permission.USER_MANAGE

    identity: str = COMMIT


class UserOfPerson(TwoPeople):
    """It was said whose login this is. `person`: that one's first login; null: nobody else's, which takes two people to say."""

    kind: Literal["user.of_person"] = "user.of_person"
    permission: ClassVar[Permission] = Permission.USER_MANAGE
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.ROLE_COSIGN})

    person: str | None = Field(default=None, pattern=r"^US-[0-9A-Z]{7}$")


class UserDeactivated(Event):
    """The login was shut and all its sessions ended."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.deactivated"] = "user.deactivated"
    permission: ClassVar[Permission] = Permission.USER_MANAGE

    reason: str = REASON
    sessions_ended: int = Field(ge=0)


class UserReactivated(TwoPeople):
    """The login was opened again. Two people, when it holds a role that signs for others' roles."""

    kind: Literal["user.reactivated"] = "user.reactivated"
    permission: ClassVar[Permission] = Permission.USER_MANAGE
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.ROLE_COSIGN})

    reason: str = REASON


class UserPasswordReset(TwoPeople):
    """The password was taken away and a one-time code made for its owner, by two people. All sessions and the key ended."""

    kind: Literal["user.password_reset"] = "user.password_reset"
    permission: ClassVar[Permission] = Permission.USER_MANAGE
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.ROLE_COSIGN})

    sessions_ended: int = Field(ge=0)


class UserEnrolmentOpened(TwoPeople):
    """Its owner may choose a password, by the same two people who gave the first role or reset the password.

    `enrolment`: the public half of a key pair made for this one enrolment. It vouches for the personal key that follows.
    """

    kind: Literal["user.enrolment_opened"] = "user.enrolment_opened"
    permission: ClassVar[Permission] = Permission.ROLE_COSIGN

    enrolment: str = PUBLIC_KEY


class UserPersonalKeySet(Event):
    """The person chose their first password, and with it came the key that signs for them from now on.

    `enrolment` names the enrolment that vouches for it, and `vouched` is that key's signature.
    """

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.personal_key_set"] = "user.personal_key_set"

    key: str = PUBLIC_KEY
    enrolment: str = PUBLIC_KEY
    vouched: str = Field(pattern=r"^[0-9a-f]{128}$", description="Ed25519 signature, in hex.")


class UserPasswordChanged(Event):
    """The person chose a password of their own; other sessions ended. `first` when it replaced a one-time code."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.password_changed"] = "user.password_changed"

    first: bool
    sessions_ended: int = Field(ge=0)


class UserCredentialsSet(Event):
    """What opens the login changed: a password, a code, a key, a second factor, or the way in which one is stored.

    `fingerprint`: the digest of all that is stored of it (`auth/credentials.py`); null: nothing opens the login.
    """

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.credentials_set"] = "user.credentials_set"

    fingerprint: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hex.")


class UserSecondFactorSet(Event):
    """The person set up an authenticator app: from now on sign-ins and signatures of the login need its code too."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.second_factor_set"] = "user.second_factor_set"


class UserSecondFactorRemoved(Event):
    """The authenticator app counts no more: its owner took it away, or the password was reset by two people."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.second_factor_removed"] = "user.second_factor_removed"

    because: Literal["owner", "password_reset"]


class UserPasskeyAdded(Event):
    """The person added a passkey: from now on sign-ins and signatures of the login need it, another one, or the app's code."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.passkey_added"] = "user.passkey_added"

    passkey: str = SHA256


class UserPasskeyRemoved(Event):
    """A passkey counts no more: its owner took it away, or the password was reset by two people."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.passkey_removed"] = "user.passkey_removed"

    passkey: str = SHA256
    because: Literal["owner", "password_reset"]


class UserRoleGranted(TwoPeople):
    """A role at a site, or everywhere, proposed by an administrator and co-signed by quality."""

    kind: Literal["user.role_granted"] = "user.role_granted"
    permission: ClassVar[Permission] = Permission.ROLE_COSIGN

    role: Role
    site: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9]{1,7}$", description="Left out: everywhere.")


class UserRoleRevoked(TwoPeople):
    """A role was taken away, proposed by an administrator and co-signed by quality. In force at once."""

    kind: Literal["user.role_revoked"] = "user.role_revoked"
    permission: ClassVar[Permission] = Permission.ROLE_COSIGN

    role: Role
    site: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9]{1,7}$", description="Left out: everywhere.")


class SiteCreated(Event):
    """A place of work was added. Its name is public and stands as a hash, because an event holds codes only."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.site_created"] = "system.site_created"
    permission: ClassVar[Permission] = Permission.SITE_MANAGE

    site: str = SITE
    site_kind: Literal["bank", "clinic"]
    timezone: str = Field(min_length=1, max_length=64)
    name_sha256: str = SHA256


class SiteChanged(Event):
    """Name, time zone or use of a site changed; what stands here is what holds now."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.site_changed"] = "system.site_changed"
    permission: ClassVar[Permission] = Permission.SITE_MANAGE

    site: str = SITE
    timezone: str = Field(min_length=1, max_length=64)
    active: bool
    name_sha256: str = SHA256


class SiteJurisdictionStated(Event):
    """Quality said under whose law a site works. Two of quality sign what was said otherwise before (`before`)."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.site_jurisdiction_stated"] = "system.site_jurisdiction_stated"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = SITE
    jurisdiction: Jurisdiction
    before: Jurisdiction | None = None
    signatures: tuple[str, ...] = Field(min_length=1, max_length=2, description="Of who said it, in the order of signing.")
