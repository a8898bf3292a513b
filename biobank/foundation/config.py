"""Every setting of the bank: an environment variable `BIOBANK_<FIELD>` each, documented where it is declared.

Secrets are files in `secrets_dir`, never environment values, because the environment of a process is easy to read and easy
to log. `biobank demo` and `biobank migrate` create missing secret files with mode 0600; nothing ships with a default secret.
"""

import os
import re
import stat
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator


class WeakSettings(Exception):
    """The settings would run an unsafe bank; the message names the variable and the cure."""


class Settings(BaseModel):
    """The settings of one process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(
        None, description="PostgreSQL as the app's login, `postgresql://…`. Absent: the embedded server in `state_dir`."
    )
    owner_database_url: str | None = Field(None, description="PostgreSQL as the owner: `biobank migrate` only.")
    sealer_database_url: str | None = Field(None, description="PostgreSQL as the sealer: `biobank sealer` only.")
    auditor_database_url: str | None = Field(None, description="PostgreSQL as the auditor: exports may read here.")
    keys_database_url: str | None = Field(
        None, description="The store of donor keys: another database with a backup of its own, as the app's login."
    )
    keys_owner_database_url: str | None = Field(None, description="The same store as its owner: `biobank migrate` only.")
    state_dir: Path = Field(Path("var"), description="Where the embedded server, demo.json and attachments live.")
    register_path: Path | None = Field(
        None, description="File of the last published checkpoint, on another volume. Default: `state_dir`/register/checkpoint."
    )
    policy_path: Path | None = Field(
        None, description="Policy file: the witnesses whose cosignatures the sealer asks for. Default: none is asked."
    )
    own_witness: bool = Field(
        False,
        description="Run a witness beside the sealer, when no policy names others. It sees a database and a register that were "
        "set back together; who may stop it may also set it back, so auditors run their own.",
    )
    log_keys_file: Path | None = Field(
        None, description="Where the sealer writes the public halves of the log's keys for a witness of the bank's own."
    )
    breached_passwords: Path | None = Field(
        None, description="File of SHA-1 hashes of passwords from breaches, sorted, one a line; a new password is none of them."
    )
    virus_scanner: str | None = Field(
        None, pattern=r"^\S+:\d{1,5}$", description="`host:port` of a clamd that looks at every file before it is kept."
    )
    file_store: str | None = Field(
        None,
        pattern=r"^s3://[^/\s]+(/\S*)?$",
        description="Bucket of an S3-compatible store that keeps attachments, `s3://bucket/prefix`; the state folder otherwise.",
    )
    file_store_endpoint: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Address of that store's server, when it is not Amazon's."
    )
    database_tls: bool = Field(
        False, description="Refuse an address of a database over a network that does not say `sslmode=verify-full`."
    )
    webhook_addresses: str = Field(
        "",
        description="Where events may be sent to, separated by spaces: addresses like `https://erp.example`, without a path. "
        "Nothing else is sent to; plain `http` only into networks that `webhook_networks` lists.",
    )
    webhook_networks: str = Field(
        "", description="Networks, separated by spaces, that are not public and that events may be sent into all the same."
    )
    webhook_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that vouch for the systems events are sent to. Default: the machine's."
    )
    telemetry_address: str | None = Field(
        None,
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
        description="Collector of OpenTelemetry that takes OTLP over HTTP, like `http://127.0.0.1:4318`: traces and metrics go "
        "there, without personal data, codes hashed. Absent: none are made.",
    )
    telemetry_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that vouch for that collector. Default: the machine's."
    )
    telemetry_percent: int = Field(100, ge=0, le=100, description="Of how many requests in a hundred there are traces.")
    log_decisions: bool = Field(
        False, description="Write a line for every request with each decision about the caller's rights, granted ones too."
    )
    secrets_dir: Path | None = Field(None, description="Key files. Default: `state_dir`/secrets.")
    log_secrets_dir: Path | None = Field(
        None, description="The log's private key alone, which only the sealer needs. Default: `secrets_dir`."
    )
    pkcs11_module: Path | None = Field(
        None,
        description="Library of the security module in which `keys token` and `keys rotate-log --token` make the log's key.",
    )
    pkcs11_token: str | None = Field(None, description="Label of its token.")
    pkcs11_pin_file: Path | None = Field(None, description="File with the PIN of that token, readable by the sealer alone.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    workers: int = Field(1, ge=1, le=64, description="Web processes.")
    host_name: str = Field("BANK.EXAMPLE", description="Host printed in label payloads `HTTPS://HOST/S/<code>`.")
    isbt_facility: str | None = Field(
        None,
        pattern=r"^[A-NP-Z1-9][0-9A-Z]{4}$",
        description="The five characters of this bank's registration with ICCBBA. Absent: no label says ISBT 128.",
    )
    sec_establishment: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}[0-9A-Z]{6}$",
        description="Country and number of this bank as a tissue establishment of the EU, `DE000123`. Absent: no label says a "
        "Single European Code.",
    )
    former_host_names: str = Field("", description="Hosts of old labels, comma separated: still ours.")
    printers: str = Field(
        "", description="Label printers that may be printed to: `name=host:port/dpi`, separated by spaces. Nothing else is."
    )
    issuer: str = Field("biobank", description="`iss` and `aud` of tokens.")
    log_origin: str = Field("bank.example/custody", description="Origin line of checkpoints and receipts.")
    logger_gap_min: int = Field(
        60, ge=1, le=1440, description="Minutes without a reading after which a logger's file does not cover a journey."
    )
    merge_delay_s: int = Field(60, ge=1, le=3600, description="Longest promised time between receipt and seal.")
    access_token_s: int = Field(900, ge=60, le=3600, description="Life of an access token.")
    refresh_token_s: int = Field(12 * 3600, ge=300, description="Life of a refresh token.")
    session_s: int = Field(12 * 3600, ge=300, description="Longest life of a page session.")
    idle_lock_s: int = Field(
        15 * 60, ge=60, description="A page session idle for longer locks until its login proves its password again."
    )
    badge_idle_s: int = Field(180, ge=30, le=900, description="A sign-in by badge and PIN that is idle for longer is over.")
    badge_session_s: int = Field(3600, ge=60, le=4 * 3600, description="Longest life of a sign-in by badge and PIN.")
    tls_certificate: Path | None = Field(None, description="Certificates (PEM) with which the web process ends TLS itself.")
    tls_key: Path | None = Field(None, description="The key of its certificate.")
    tls_callers: Path | None = Field(None, description="Authorities (PEM) of its callers. Who shows no certificate is cut off.")
    secure_cookies: bool = Field(True, description="Send the session cookie over TLS only. Off for the demo on localhost.")
    test_mode: bool = Field(False, description="Allows moving the clock. `/readyz` says so. Never in production.")
    pool_size: int = Field(10, ge=1, le=100, description="Connections per web process.")
    allowed_hosts: str = Field(
        "",
        description="Further host names this bank answers to beside `host_name`, separated by spaces; `*`: every one.",
    )
    proxy_addresses: str = Field(
        "127.0.0.1", description="Addresses or networks of proxies, separated by spaces, whose `X-Forwarded-For` is believed."
    )
    monitor_networks: str = Field(
        "127.0.0.0/8 ::1/128", description="Networks, separated by spaces, that read `/metrics` and the details of `/readyz`."
    )
    second_factor_roles: str = Field(
        "", description="Roles, separated by spaces, that sign with a second factor only, such as `quality admin`."
    )
    passkey_roles: str = Field("", description="Roles, separated by spaces, that sign with a passkey only.")
    passkey_origins: str = Field(
        "", description="Addresses of the pages, separated by spaces, for which passkeys are made. Default: https://`host_name`."
    )
    security_contact: str = Field(
        "", description="Whom to tell of a hole: addresses (`mailto:`, `https:`, `tel:`), separated by spaces, best first."
    )
    security_contact_until: AwareDatetime | None = Field(
        None, description="Until when that is so, like `2027-06-30T00:00:00Z`; afterwards nobody is named."
    )
    smtp_server: str | None = Field(
        None,
        pattern=r"^\S+:\d{1,5}$",
        description="`host:port` of the mail server for messages. Absent: none are sent.",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the way to it is kept: `starttls`, `tls` from the first byte, or `none` on the same machine."
    )
    smtp_from: str = Field("biobank@localhost", description="Address that messages come from.")
    smtp_user: str = Field("", description="Name to sign in to the mail server with; none: no sign-in.")
    smtp_password_file: Path | None = Field(None, description="File with the password to it.")
    identity_reads_per_hour: int = Field(
        60,
        ge=5,
        le=100_000,
        description="Of how many people a person may read within an hour who they are.",
    )
    approval_days: int = Field(
        30, ge=1, le=3650, description="For how many days an approval is good until its tubes leave; then quality looks again."
    )
    giving_entered_within_minutes: int = Field(
        60, ge=15, le=1440, description="How long after its release ran out one person may still enter a giving; then two do."
    )
    files_per_person_day: int = Field(200, ge=1, description="Files that one person keeps in a day.")
    files_per_donor_day: int = Field(50, ge=1, description="Files about one donor in a day.")
    files_total_mib: int = Field(50_000, ge=1, description="Mebibytes of files kept in all.")
    login_attempts: int = Field(
        10, ge=3, description="Wrong passwords of a session, a device or strangers to a login in ten minutes."
    )

    client_calls_per_min: int = Field(600, ge=10, description="Calls of one API client in a minute, of each process of the API.")

    @field_validator(
        "database_url",
        "owner_database_url",
        "sealer_database_url",
        "auditor_database_url",
        "keys_database_url",
        "keys_owner_database_url",
    )
    @classmethod
    def _postgresql_only(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a postgresql:// address; the bank runs on PostgreSQL 15 or later only")
        return value

    @field_validator("monitor_networks", "proxy_addresses", "webhook_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for one in value.split():
            ip_network(one)
        return value

    @field_validator("passkey_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for one in value.split():
            if not re.fullmatch(r"https://[a-z0-9.-]+(:[0-9]{1,5})?", one):
                raise ValueError("each must be an address like https://bank.example, without a path")
        return value

    @field_validator("webhook_addresses")
    @classmethod
    def _places_to_send_to(cls, value: str) -> str:
        for one in value.split():
            if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?", one):
                raise ValueError("each must be an address like https://erp.example, without a path")
        return value

    @field_validator("security_contact")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for one in value.split():
            if not re.fullmatch(r"(mailto:|https:|tel:)[!-~]+", one):
                raise ValueError("each must begin with mailto:, https: or tel:")
        return value

    @model_validator(mode="after")
    def _a_contact_has_its_day(self) -> Self:
        if bool(self.security_contact) != (self.security_contact_until is not None):
            raise ValueError("set BIOBANK_SECURITY_CONTACT and BIOBANK_SECURITY_CONTACT_UNTIL together, or neither")
        return self

    @model_validator(mode="after")
    def _a_mail_server_is_signed_in_to_whole(self) -> Self:
        if bool(self.smtp_user) != (self.smtp_password_file is not None):
            raise ValueError("set BIOBANK_SMTP_USER and BIOBANK_SMTP_PASSWORD_FILE together, or neither")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("BIOBANK_SMTP_SECURITY none would send the password to the mail server as it is")
        return self

    @model_validator(mode="after")
    def _a_certificate_comes_with_its_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None) or (self.tls_callers and not self.tls_certificate):
            raise ValueError("set BIOBANK_TLS_CERTIFICATE and BIOBANK_TLS_KEY together; BIOBANK_TLS_CALLERS needs both")
        return self

    @model_validator(mode="after")
    def _databases_over_tls(self) -> Self:
        addresses = [name for name in type(self).model_fields if name.endswith("database_url")]
        for name in addresses if self.database_tls else ():
            parts = conninfo_to_dict(getattr(self, name) or "")
            hosts = f"{parts.get('host') or ''},{parts.get('hostaddr') or ''}".split(",")
            if any(host and not host.startswith("/") for host in hosts) and parts.get("sslmode") != "verify-full":
                raise ValueError(f"{name} does not say sslmode=verify-full, and BIOBANK_DATABASE_TLS demands it")
        return self

    @classmethod
    def from_environment(cls, environ: dict[str, str] | None = None) -> Self:
        """Read the settings; raise WeakSettings with a sentence when one is unusable."""
        source = os.environ if environ is None else environ
        given = {
            name: source[key] for name in cls.model_fields if (key := f"BIOBANK_{name.upper()}") in source and source[key] != ""
        }
        try:
            return cls.model_validate(given)
        except ValueError as error:
            raise WeakSettings(f"Settings: {error}") from error

    @property
    def roles_of_two_factors(self) -> frozenset[str]:
        """The roles that sign with a second factor only."""
        return frozenset(self.second_factor_roles.split())

    @property
    def roles_of_passkeys(self) -> frozenset[str]:
        """The roles that sign with a passkey only."""
        return frozenset(self.passkey_roles.split())

    @property
    def secrets(self) -> Path:
        """The folder of key files."""
        return self.secrets_dir or self.state_dir / "secrets"

    @property
    def log_secrets(self) -> Path:
        """The folder of the log's private keys; their public halves lie in `secrets` too."""
        return self.log_secrets_dir or self.secrets

    @property
    def register_file(self) -> Path:
        """The file that holds the last published checkpoint, outside the database. Keep it on another volume."""
        return self.register_path or self.state_dir / "register" / "checkpoint"

    @property
    def former_hosts(self) -> tuple[str, ...]:
        """Hosts of labels printed before the present host name."""
        return tuple(h.strip().upper() for h in self.former_host_names.split(",") if h.strip())


MINIMUM_SECRET_BYTES = 32


def read_secret(folder: Path, name: str) -> bytes:
    """Read a secret file.

    Raises WeakSettings when it is missing, shorter than 32 bytes, made of one repeated byte, or readable by others.
    """
    path = folder / name
    try:
        value = path.read_bytes()
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise WeakSettings(f"The secret '{name}' is missing. `biobank migrate` creates missing secrets.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise WeakSettings(f"The secret '{name}' can be read by others. Set its mode to 0600.")
    if len(value) < MINIMUM_SECRET_BYTES or len(set(value)) < 8:
        raise WeakSettings(f"The secret '{name}' is too weak. It needs at least 32 random bytes.")
    return value


def ensure_secret(folder: Path, name: str) -> None:
    """Create a random 32-byte secret file with mode 0600 unless it exists; safe when two processes race."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(MINIMUM_SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
