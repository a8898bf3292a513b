"""Label data for every template."""

from datetime import date

from biobank.donors.markers import Evaluation
from biobank.foundation.codes import DATED, SPECIMENS, Prefix, make_code
from biobank.labels.data import LabelData
from biobank.labels.statements import StatementPolicy, required_statements
from biobank.labels.template import Template

HOST = "bank.example"
DONOR = make_code("DN", None, 5)


def sample(template: Template, number: int = 4711) -> LabelData:
    prefix = sorted(template.prefixes)[0]
    return sample_for(prefix, number)


def sample_for(prefix: Prefix, number: int = 4711) -> LabelData:
    code = make_code(prefix, 2026 if prefix in DATED else None, number)
    if prefix not in SPECIMENS:
        return LabelData(
            code=code,
            title="Rack 3, upper",
            location="T1 / R3 / B07 / A1",
            storage="below -150 °C",
            expires_on=date(2027, 6, 30),
            zone="Europe/Vienna",
            facility="Example Bank, 1 Main Street, Springfield",
            print_serial=1234,
        )
    return LabelData(
        code=code,
        material="ADSC",
        passage=2,
        amount="1.0 mL",
        unit_number=3,
        unit_count=12,
        banked_on=date(2026, 3, 4),
        expires_on=date(2046, 3, 4),
        zone="Asia/Kolkata",
        storage="below -150 °C",
        facility="Example Bank, 1 Main Street, Springfield",
        donation="G1234 17 654321 00 A",
        european_donation="PL001499Z549917123456",
        european_product="A00T041600320171231",
        recipient=DONOR,
        print_serial=1240,
        copy_number=2,
        statements=required_statements(Evaluation(), StatementPolicy()),
    )
