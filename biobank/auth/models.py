"""Tables of people who sign in: users, roles per site, sessions, signatures, and the keys' revocations.

A user's printed name is personal data and lives in the vault; the tables hold the badge code and the login name.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when
from biobank.foundation.names import key_column


class Site(SQLModel, table=True):
    """A place of work: a laboratory with tanks, a clinic, or both. `jurisdiction`: under whose law; null: nobody has said."""

    __tablename__ = "site"
    __table_args__ = (
        CheckConstraint("code ~ '^[A-Z][A-Z0-9]{1,7}$'", name="site_code_is_short_and_upper_case"),
        CheckConstraint("jurisdiction IN ('US','EU','other')", name="a_site_is_under_a_law_that_is_told_apart"),
        UniqueConstraint("name_key", name="names_of_sites_look_different"),
        UniqueConstraint("code_key", name="codes_of_sites_look_different"),
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    name_key: str = Field(sa_column=key_column())
    code_key: str = Field(sa_column=key_column())
    kind: str = Field(sa_column=Column(Text, CheckConstraint("kind IN ('bank','clinic')", name="site_kind"), nullable=False))
    timezone: str = Field(sa_column=Column(Text, nullable=False))
    active: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    jurisdiction: str | None = Field(default=None, sa_column=Column(Text))


class User(SQLModel, table=True):
    """A login. `code` (`US-…`) is the badge and the only name that enters the log.

    `password_hash` is of the owner's password, or of a one-time code while `code_expires_at` says until when; null: nothing opens
    this login. `slip_id` names the slip that brings the code: whoever proposed it (`slip_with`) and whoever completed it
    (`slip_for`) draw a half each. `half_drawn` is the digest of the half drawn first, until the other is. `person_code` is the
    first login of the same person; null: this one is. `enrolment`: the encrypted half of what vouches for the owner's next key.
    """

    __tablename__ = "app_user"
    __table_args__ = (
        CheckConstraint("code_expires_at IS NULL OR must_change_password", name="a_code_is_replaced_at_the_first_sign_in"),
        CheckConstraint("password_hash IS NOT NULL OR must_change_password", name="who_has_no_password_chooses_one"),
        CheckConstraint(
            "(slip_id IS NULL) = (slip_for IS NULL) AND (slip_id IS NULL) = (slip_with IS NULL)"
            " AND (slip_id IS NULL OR (code_expires_at IS NOT NULL AND slip_with <> slip_for))",
            name="a_slip_brings_a_code_to_be_drawn_by_two",
        ),
        CheckConstraint(
            "(half_drawn IS NULL) = (half_drawn_by IS NULL) AND (half_drawn IS NULL OR (password_hash IS NULL"
            " AND slip_id IS NOT NULL AND octet_length(half_drawn) = 32 AND half_drawn_by IN (slip_with, slip_for)))",
            name="half_a_code_opens_nothing",
        ),
        CheckConstraint("person_code <> code", name="another_login_of_a_person_names_the_first"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    username: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    password_hash: str | None = Field(default=None, sa_column=Column(Text))
    must_change_password: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    active: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    created_at: datetime = Field(sa_column=when())
    name_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    code_expires_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    slip_id: UUID | None = Field(default=None, sa_column=Column(Uuid, unique=True))
    slip_for: str | None = Field(default=None, sa_column=Column(Text))
    slip_with: str | None = Field(default=None, sa_column=Column(Text))
    half_drawn: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    half_drawn_by: str | None = Field(default=None, sa_column=Column(Text))
    person_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code"), index=True))
    enrolment: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class PersonalKey(SQLModel, table=True):
    """A key with which a person signs. `wrapped` is its private half, which their password unlocks and nothing else."""

    __tablename__ = "personal_key"
    __table_args__ = (
        CheckConstraint("octet_length(public) = 32", name="personal_key_is_of_ed25519"),
        Index("ix_one_personal_key_in_force", "user_code", unique=True, postgresql_where=text("ended_at IS NULL")),
        {"info": {"never_deleted": True}},
    )

    public: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    made_at: datetime = Field(sa_column=when())
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class SecondFactor(SQLModel, table=True):
    """The authenticator app of a login: its secret, encrypted, and the last 30-second step whose code was used."""

    __tablename__ = "second_factor"
    __table_args__ = {"info": {"app_may_delete": True}}

    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), primary_key=True))
    secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    last_step: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    created_at: datetime = Field(sa_column=when())
    confirmed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class Passkey(SQLModel, table=True):
    """A passkey of a login: what its device calls it, its public key (COSE), and how often the device says that it answered."""

    __tablename__ = "passkey"
    __table_args__ = (
        CheckConstraint("sign_count >= 0", name="a_passkey_counts_upwards"),
        {"info": {"app_may_delete": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False, index=True))
    credential: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sign_count: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = Field(sa_column=when())
    last_used_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class PasskeyChallenge(SQLModel, table=True):
    """A challenge that a passkey answered, by its SHA-256: none is answered twice."""

    __tablename__ = "passkey_challenge"
    __table_args__ = {"info": {"app_may_delete": True}}

    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    at: datetime = Field(sa_column=when())


class Preferences(SQLModel, table=True):
    """How somebody wants their own pages. `timezone` null: their site's; `bell`: what it counts besides what presses."""

    __tablename__ = "user_preferences"

    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), primary_key=True))
    timezone: str | None = Field(default=None, sa_column=Column(Text))
    language: str = Field(
        sa_column=Column(Text, CheckConstraint("language IN ('en')", name="a_language_we_speak"), nullable=False)
    )
    bell: list[str] = Field(sa_column=Column(JSONB, nullable=False))


class ApiClient(SQLModel, table=True):
    """A program with a key of its own. `scopes`: what it may do at `sites`, or everywhere when none is named.

    Of its key only a keyed hash is kept, and its first characters, to tell it by. `key_id` names the key in force: another key is
    another one. `key_for` may draw a new key, once, until `key_until`; the one before works until then.
    """

    __tablename__ = "api_client"
    __table_args__ = (
        CheckConstraint("scopes <> '[]'", name="a_client_may_do_something"),
        CheckConstraint("valid_days BETWEEN 1 AND 366", name="a_key_of_a_client_ends_within_a_year"),
        CheckConstraint(
            "(key_hash IS NULL) = (key_id IS NULL) AND (keyed_event IS NULL) = (keyed_at IS NULL) "
            "AND (keyed_event IS NULL) = (key_start IS NULL) AND (keyed_event IS NULL) = (expires_at IS NULL) "
            "AND (key_hash IS NULL OR keyed_event IS NOT NULL)",
            name="a_key_of_a_client_is_whole",
        ),
        CheckConstraint("(key_for IS NULL) = (key_until IS NULL)", name="a_clients_key_to_draw_has_its_end"),
        CheckConstraint("revoked_at IS NULL OR (key_hash IS NULL AND key_for IS NULL)", name="a_revoked_client_has_no_key"),
        Index("ix_api_client_made", "made_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    name_key: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    sites: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    scopes: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    valid_days: int = Field(sa_column=Column(Integer, nullable=False))
    made_by: str = Field(sa_column=Column(Text, nullable=False))
    made_at: datetime = Field(sa_column=when())
    key_id: UUID | None = Field(default=None, sa_column=Column(Uuid, unique=True))
    key_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, unique=True))
    key_start: str | None = Field(default=None, sa_column=Column(Text))
    keyed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    keyed_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    expires_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    key_for: str | None = Field(default=None, sa_column=Column(Text))
    key_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    calls: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    revoked_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class UserRole(SQLModel, table=True):
    """A role held at a site, or everywhere (`site_code` NULL)."""

    __tablename__ = "user_role"
    __table_args__ = (
        UniqueConstraint(
            "user_code", "role", "site_code", name="one_grant_per_role_and_site", postgresql_nulls_not_distinct=True
        ),
        CheckConstraint("role IN ('lab_tech','clinician','clinic_staff','quality','auditor','admin')", name="role_is_known"),
        {"info": {"app_may_delete": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False, index=True))
    role: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    granted_at: datetime = Field(sa_column=when())
    granted_by: str = Field(sa_column=Column(Text, nullable=False))


class LoginSession(SQLModel, table=True):
    """One sign-in: tokens of a client (`kind = token`) or a page session (`kind = page`). Revoking the row ends both.

    `station_id` and `station_site`: at which station somebody signed in by badge and PIN; null for everybody else.
    """

    __tablename__ = "login_session"
    __table_args__ = (
        CheckConstraint("kind IN ('token','page')", name="session_kind"),
        CheckConstraint(
            "(station_id IS NULL) = (station_site IS NULL) AND (station_id IS NULL OR kind = 'page')",
            name="who_signed_in_by_badge_is_at_a_station",
        ),
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False, index=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    secret_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, unique=True))
    csrf_token: str | None = Field(default=None, sa_column=Column(Text))
    created_at: datetime = Field(sa_column=when())
    last_seen_at: datetime = Field(sa_column=when())
    expires_at: datetime = Field(sa_column=when())
    revoked_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    revoked_because: str | None = Field(default=None, sa_column=Column(Text))
    flashes: str | None = Field(default=None, sa_column=Column(Text))
    station_id: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("station.id")))
    station_site: str | None = Field(default=None, sa_column=Column(Text))


class RefreshToken(SQLModel, table=True):
    """A refresh token by its hash. Used once; a second use revokes the whole session."""

    __tablename__ = "refresh_token"
    __table_args__ = {"info": {"app_may_delete": True}}

    token_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    session_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("login_session.id"), nullable=False, index=True))
    issued_at: datetime = Field(sa_column=when())
    expires_at: datetime = Field(sa_column=when())
    used_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class LoginAttempt(SQLModel, table=True):
    """An attempt to prove a password, by keyed hashes of what asked (`auth/throttle.py`); what the throttle counts."""

    __tablename__ = "login_attempt"
    __table_args__ = (
        Index("ix_login_attempt_name", "name_hash", "at"),
        Index("ix_login_attempt_address", "address_hash", "at"),
        {"info": {"app_may_delete": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    name_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    address_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    at: datetime = Field(sa_column=when())
    succeeded: bool = Field(sa_column=Column(Boolean, nullable=False))


class Signature(SQLModel, table=True):
    """An electronic signature: a password entered again for one act. Single use, two minutes, bound to act and user.

    `key`: the personal key that signed what it says, with `by_key`; both null while the login had none.
    """

    __tablename__ = "signature"
    __table_args__ = (
        CheckConstraint(
            "meaning IN ('approved','rejected','released','hold_lifted','reversed','reviewed','witnessed','erased',"
            "'role_change','resolved','decided','closed','performed','not_performed')",
            name="signature_meaning_is_known",
        ),
        CheckConstraint("octet_length(act_hash) = 32", name="signature_is_bound_to_an_act"),
        CheckConstraint("used_at IS NULL OR used_at < expires_at", name="signature_is_used_in_time"),
        CheckConstraint("(key IS NULL) = (by_key IS NULL)", name="signature_by_a_key_names_it"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    meaning: str = Field(sa_column=Column(Text, nullable=False))
    act_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signed_at: datetime = Field(sa_column=when())
    expires_at: datetime = Field(sa_column=when())
    used_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    key: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("personal_key.public")))
    by_key: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


# The tables, by the names under which everybody imports them.
site = table_of(Site)
user = table_of(User)
user_role = table_of(UserRole)
second_factor = table_of(SecondFactor)
passkey = table_of(Passkey)
passkey_challenge = table_of(PasskeyChallenge)
preferences = table_of(Preferences)
personal_key = table_of(PersonalKey)
login_session = table_of(LoginSession)
login_attempt = table_of(LoginAttempt)
api_client = table_of(ApiClient)
