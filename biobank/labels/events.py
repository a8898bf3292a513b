"""Labels are events of what they name: printed with a number and a reason, verified by scanning back."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind
from biobank.foundation.codes import MOST_PRINTS
from biobank.specimens.events import UUID_TEXT

TEMPLATE = Field(pattern=r"^[a-z0-9-]{2,60}$")
PRINT_NUMBER = Field(
    default=None,
    ge=1,
    le=MOST_PRINTS,
    description="What the symbol says after the code. None: it does not say which print it is.",
)
REASON = Field(pattern=r"^[a-z0-9_]{2,40}$")


class Labelled(Event):
    """A label was printed. The first print of a template is copy 1; every further one says which and why."""

    kind: Literal["specimen.labelled"] = "specimen.labelled"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT
    call: ClassVar[str] = "/label-sheets"
    annotates: ClassVar[bool] = True
    label: ClassVar[str] = "Print label"

    serial: int = Field(ge=1)
    template: str = TEMPLATE
    copy_number: int = Field(ge=1, le=10_000)
    reason: str = REASON
    statements: tuple[str, ...] = Field(default=(), max_length=20, description="Keys of the statements it had to carry.")
    print_number: int | None = PRINT_NUMBER


class LabelVerified(Event):
    """The printed label was scanned and says what it should."""

    kind: Literal["specimen.label_verified"] = "specimen.label_verified"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT
    call: ClassVar[str] = "/labels/{serial}/verify"
    label: ClassVar[str] = "Scan a printed label back"
    annotates: ClassVar[bool] = True

    serial: int = Field(ge=1)


class ThingLabelled(Event):
    """A label of something that is no specimen was printed. `code` is what the label says."""

    code: str = Field(pattern=r"^[A-Z0-9-]{3,20}$")
    serial: int = Field(ge=1)
    template: str = TEMPLATE
    copy_number: int = Field(ge=1, le=10_000)
    reason: str = REASON
    print_number: int | None = PRINT_NUMBER


class ThingLabelVerified(Event):
    """The printed label was scanned and says what it should."""

    code: str = Field(pattern=r"^[A-Z0-9-]{3,20}$")
    serial: int = Field(ge=1)


class PlaceLabelled(ThingLabelled):
    """A label of a container or one of its positions was printed."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.labelled"] = "container.labelled"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class PlaceLabelVerified(ThingLabelVerified):
    """The label of a container or position was scanned and says what it should."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.label_verified"] = "container.label_verified"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class KitLabelled(ThingLabelled):
    """A label of a kit, or one of the labels that lie in it, was printed."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.kit_labelled"] = "system.kit_labelled"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class KitLabelVerified(ThingLabelVerified):
    """A label of a kit, or one of the labels that lie in it, was scanned and says what it should."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.kit_label_verified"] = "system.kit_label_verified"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class RegisteredLabelled(ThingLabelled):
    """A label of a reagent lot, a device, a workstation or whatever else the registers give a code was printed."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.register_labelled"] = "system.register_labelled"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class RegisteredLabelVerified(ThingLabelVerified):
    """A label of something in the registers was scanned and says what it should."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.register_label_verified"] = "system.register_label_verified"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class WristbandLabelled(ThingLabelled):
    """A wristband was printed."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.wristband_printed"] = "donor.wristband_printed"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class WristbandLabelVerified(ThingLabelVerified):
    """A printed wristband was scanned and says what it should."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.wristband_print_verified"] = "donor.wristband_print_verified"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT


class BadgeLabelled(ThingLabelled):
    """A badge was printed."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.badge_printed"] = "user.badge_printed"
    permission: ClassVar[Permission] = Permission.USER_MANAGE


class BadgeLabelVerified(ThingLabelVerified):
    """A printed badge was scanned and says what it should."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.badge_print_verified"] = "user.badge_print_verified"
    permission: ClassVar[Permission] = Permission.USER_MANAGE


class LabelsReconciled(Event):
    """Two people counted what became of the labels of a batch: printed = applied + destroyed + unaccounted.

    `batch`: the serial of its first label; `destroyed`: unused.
    """

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.labels_reconciled"] = "system.labels_reconciled"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.LABEL_PRINT, Permission.USER_MANAGE})

    batch: int = Field(ge=1)
    printed: int = Field(ge=1, le=20_000)
    applied: int = Field(ge=0, le=20_000)
    destroyed: int = Field(ge=0, le=20_000)
    destroyed_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="Of the serials that were destroyed, sorted, one a line."
    )
    unaccounted: int = Field(ge=0, le=20_000)
    deviation: str | None = Field(default=None, pattern=r"^DV-[0-9A-Z]{7}$")
    first_user: str = Field(pattern=r"^US-[0-9A-Z]{7}$")
    first_signature: str = Field(pattern=UUID_TEXT)
    second_user: str = Field(pattern=r"^US-[0-9A-Z]{7}$")
    second_signature: str = Field(pattern=UUID_TEXT)


class PrintRuleSet(Event):
    """Which template, and which printer, a site uses for a kind of code was decided."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.print_rule_set"] = "system.print_rule_set"
    permission: ClassVar[Permission] = Permission.SITE_MANAGE

    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    prefix: str = Field(pattern=r"^[A-Z]{2}$")
    template: str | None = Field(default=None, pattern=r"^[a-z0-9-]{2,60}$", description="None: no rule any more.")
    printer: str | None = Field(default=None, pattern=r"^[a-z0-9-]{2,40}$")
