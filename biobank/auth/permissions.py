"""Who may do what: one table.

A permission is `resource:action` in the field's words. Routes and event classes name permissions; only this table names
roles. A role is held at a site, or everywhere (`site = None`).

Order of checks, everywhere: may the caller know that the thing exists (else 404), then may the caller do this (else 403).
The other order tells a stranger which codes are real.
"""

from enum import StrEnum
from typing import Final, Literal, get_args


class Role(StrEnum):
    """The six roles of the bank."""

    LAB_TECH = "lab_tech"
    CLINICIAN = "clinician"
    CLINIC_STAFF = "clinic_staff"
    QUALITY = "quality"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Permission(StrEnum):
    """`resource:action`. Keep the list sorted."""

    CONSENT_RECORD = "consent:record"
    CUSTODY_RECORD = "custody:record"
    DEVIATION_DECIDE = "deviation:decide"
    DEVIATION_OPEN = "deviation:open"
    DONOR_ERASE = "donor:erase"
    DONOR_IDENTIFY = "donor:identify"
    DONOR_READ = "donor:read"
    DONOR_REGISTER = "donor:register"
    HANDOVER_TAKE = "handover:take"
    HARVEST_RECORD = "harvest:record"
    HOLD_LIFT = "hold:lift"
    HOLD_PLACE = "hold:place"
    IDENTITY_READ = "identity:read"
    KIT_MANAGE = "kit:manage"
    LABEL_PRINT = "label:print"
    LOG_EXPORT = "log:export"
    LOG_READ = "log:read"
    PROCESSING_RECORD = "processing:record"
    QUALITY_DECIDE = "quality:decide"
    RECALL_START = "recall:start"
    REVERSAL_RECORD = "reversal:record"
    ROLE_COSIGN = "role:cosign"
    SENSOR_MANAGE = "sensor:manage"
    SHIPMENT_RECORD = "shipment:record"
    SITE_MANAGE = "site:manage"
    SPECIMEN_READ = "specimen:read"
    SPECIMEN_RESOLVE = "specimen:resolve"
    STORAGE_MANAGE = "storage:manage"
    STORAGE_RECORD = "storage:record"
    USER_MANAGE = "user:manage"
    USER_READ = "user:read"
    WITHDRAWAL_ADMINISTER = "withdrawal:administer"
    WITHDRAWAL_APPROVE = "withdrawal:approve"
    WITHDRAWAL_ISSUE = "withdrawal:issue"
    WITHDRAWAL_PICK = "withdrawal:pick"
    WITHDRAWAL_READ = "withdrawal:read"
    WITHDRAWAL_RECEIVE = "withdrawal:receive"
    WITHDRAWAL_REQUEST = "withdrawal:request"

    @property
    def words(self) -> str:
        """What it lets somebody do, as the end of "Your role lets you …"."""
        return _WORDS[self]


P = Permission

_WORDS: dict[Permission, str] = {
    P.CONSENT_RECORD: "record consents",
    P.CUSTODY_RECORD: "record what happens to specimens",
    P.DEVIATION_DECIDE: "decide about deviations",
    P.DEVIATION_OPEN: "report deviations",
    P.DONOR_ERASE: "erase a donor",
    P.DONOR_IDENTIFY: "identify donors",
    P.DONOR_READ: "read the records of donors",
    P.DONOR_REGISTER: "register donors",
    P.HANDOVER_TAKE: "take over specimens",
    P.HARVEST_RECORD: "record harvests",
    P.HOLD_LIFT: "lift holds",
    P.HOLD_PLACE: "place holds",
    P.IDENTITY_READ: "read who a donor is",
    P.KIT_MANAGE: "prepare kits",
    P.LABEL_PRINT: "print labels",
    P.LOG_EXPORT: "export the log",
    P.LOG_READ: "read the log",
    P.PROCESSING_RECORD: "record runs",
    P.QUALITY_DECIDE: "decide for quality",
    P.RECALL_START: "start a recall",
    P.REVERSAL_RECORD: "undo an entry",
    P.ROLE_COSIGN: "sign roles as the second person",
    P.SENSOR_MANAGE: "set up sensors",
    P.SHIPMENT_RECORD: "record shipments",
    P.SITE_MANAGE: "set up sites",
    P.SPECIMEN_READ: "read the records of specimens",
    P.SPECIMEN_RESOLVE: "say whose a nameless specimen is",
    P.STORAGE_MANAGE: "set up places",
    P.STORAGE_RECORD: "store specimens and record about places",
    P.USER_MANAGE: "manage logins",
    P.USER_READ: "read the list of logins",
    P.WITHDRAWAL_ADMINISTER: "give cells to a patient",
    P.WITHDRAWAL_APPROVE: "approve withdrawals",
    P.WITHDRAWAL_ISSUE: "issue withdrawals",
    P.WITHDRAWAL_PICK: "pick withdrawals",
    P.WITHDRAWAL_READ: "read withdrawals",
    P.WITHDRAWAL_RECEIVE: "receive withdrawals",
    P.WITHDRAWAL_REQUEST: "request withdrawals",
}

_EVERYONE = frozenset({P.SPECIMEN_READ})

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.LAB_TECH: _EVERYONE
    | {
        P.CUSTODY_RECORD,
        P.DEVIATION_OPEN,
        P.DONOR_READ,
        P.HANDOVER_TAKE,
        P.HARVEST_RECORD,
        P.HOLD_PLACE,
        P.KIT_MANAGE,
        P.LABEL_PRINT,
        P.PROCESSING_RECORD,
        P.REVERSAL_RECORD,
        P.SHIPMENT_RECORD,
        P.STORAGE_RECORD,
        P.WITHDRAWAL_ISSUE,
        P.WITHDRAWAL_PICK,
        P.WITHDRAWAL_READ,
    },
    Role.CLINICIAN: _EVERYONE
    | {
        P.CONSENT_RECORD,
        P.CUSTODY_RECORD,
        P.DEVIATION_OPEN,
        P.DONOR_IDENTIFY,
        P.DONOR_READ,
        P.DONOR_REGISTER,
        P.HANDOVER_TAKE,
        P.HARVEST_RECORD,
        P.HOLD_PLACE,
        P.IDENTITY_READ,
        P.LABEL_PRINT,
        P.SHIPMENT_RECORD,
        P.WITHDRAWAL_ADMINISTER,
        P.WITHDRAWAL_READ,
        P.WITHDRAWAL_RECEIVE,
        P.WITHDRAWAL_REQUEST,
    },
    Role.CLINIC_STAFF: _EVERYONE
    | {
        P.CONSENT_RECORD,
        P.CUSTODY_RECORD,
        P.DEVIATION_OPEN,
        P.DONOR_IDENTIFY,
        P.DONOR_READ,
        P.DONOR_REGISTER,
        P.HANDOVER_TAKE,
        P.HARVEST_RECORD,
        P.HOLD_PLACE,
        P.IDENTITY_READ,
        P.LABEL_PRINT,
        P.SHIPMENT_RECORD,
        P.WITHDRAWAL_ADMINISTER,
        P.WITHDRAWAL_READ,
        P.WITHDRAWAL_RECEIVE,
    },
    Role.QUALITY: _EVERYONE
    | {
        P.CONSENT_RECORD,
        P.CUSTODY_RECORD,
        P.DEVIATION_DECIDE,
        P.DEVIATION_OPEN,
        P.DONOR_ERASE,
        P.DONOR_READ,
        P.HOLD_LIFT,
        P.HOLD_PLACE,
        P.IDENTITY_READ,
        P.LOG_EXPORT,
        P.LOG_READ,
        P.QUALITY_DECIDE,
        P.RECALL_START,
        P.REVERSAL_RECORD,
        P.ROLE_COSIGN,
        P.SENSOR_MANAGE,
        P.SPECIMEN_RESOLVE,
        P.STORAGE_RECORD,
        P.USER_READ,
        P.WITHDRAWAL_APPROVE,
        P.WITHDRAWAL_READ,
    },
    Role.AUDITOR: _EVERYONE | {P.DONOR_READ, P.LOG_EXPORT, P.LOG_READ, P.USER_READ, P.WITHDRAWAL_READ},
    Role.ADMIN: frozenset({P.SENSOR_MANAGE, P.SITE_MANAGE, P.STORAGE_MANAGE, P.USER_MANAGE, P.USER_READ}),
}

ClientScope = Literal[
    "deviation:open",
    "donor:read",
    "hold:place",
    "identity:read",
    "label:print",
    "log:export",
    "log:read",
    "specimen:read",
    "withdrawal:read",
]
"""What a program may be allowed: to read, to report, to hold and to print. Never what takes hands, a signature or a decision: a
program has no hands that a colleague could confirm, and nobody else's stand behind it."""

CLIENT_SCOPES: Final = frozenset(Permission(one) for one in get_args(ClientScope))

NEEDED_TO_BEGIN: dict[Role, tuple[int, str]] = {
    Role.ADMIN: (2, "One alone is locked out by one forgotten password."),
    Role.QUALITY: (2, "Some decisions take two of quality."),
    Role.LAB_TECH: (2, "A pick and a count take two people."),
    Role.CLINICIAN: (1, "Asks for withdrawals and treats."),
    Role.CLINIC_STAFF: (1, "Identifies donors with a clinician, and checks at the bedside."),
}
"""How many people of each role a bank begins with, and why."""
