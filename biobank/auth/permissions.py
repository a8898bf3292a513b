"""Who may do what: one table.

A permission is `resource:action` in the field's words. Routes and event classes name permissions; only this table names
roles. A role is held at a site, or everywhere (`site = None`).

Order of checks, everywhere: may the caller know that the thing exists (else 404), then may the caller do this (else 403).
The other order tells a stranger which codes are real.
"""

from enum import StrEnum


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


P = Permission

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
