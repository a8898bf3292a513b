"""What the label host costs: every character of it is in the symbol of every tube."""

from collections.abc import Iterable

from biobank.foundation.codes import MOST_PRINTS, Prefix, make_code, payload_url
from biobank.labels.geometry import LabelDoesNotFit, box_in_dots, place_symbol
from biobank.labels.matrix import PayloadTooLong, modules_of, smallest_qr_matrix, version_of
from biobank.labels.template import Payload, Template


def host_cost(host: str, templates: Iterable[Template]) -> str | None:
    """Return a warning for the start-up log and the settings page, or None when the host costs nothing.

    A host that is longer than the templates were drawn for needs a larger symbol, whose modules are smaller or which
    does not fit at all.

    :raises ValueError: `host` is not a host name
    """
    larger: list[str] = []
    impossible: list[str] = []
    for template in templates:
        if template.symbol.payload is Payload.URL:
            try:
                version = version_for(template, host)
            except (LabelDoesNotFit, PayloadTooLong):
                impossible.append(template.name)
            else:
                extra = modules_of(version) - modules_of(template.symbol.version)
                if extra:
                    larger.append(f"{template.name} {extra} modules a side")
    sentences = []
    if larger:
        sentences.append(f"costs {', '.join(larger)}")
    if impossible:
        sentences.append(f"cannot be printed on {', '.join(impossible)}")
    if not sentences:
        return None
    return f"The label host {host} ({len(host)} characters) {' and '.join(sentences)}; a shorter host reads better."


def version_for(template: Template, host: str) -> int:
    """Return the symbol version that this host needs on a template.

    :raises PayloadTooLong: no symbol holds the address
    :raises LabelDoesNotFit: the symbol is too large for the template at one of its resolutions
    """
    spec = template.symbol
    longest = payload_url(host, make_code(Prefix.HAIR_FOLLICLE, 2000, 0), MOST_PRINTS)  # a dated code, the longest kind
    version = version_of(smallest_qr_matrix(longest, spec.version, spec.correction))
    for dpi in template.resolutions:
        for box in spec.boxes_um:
            place_symbol(modules_of(version), box_in_dots(box, dpi), spec.quiet_tenths, dpi, template.shape)
    return version
