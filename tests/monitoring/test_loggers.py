"""The files of three makers, and what they leave open is asked with the row named. No database."""

from datetime import UTC, datetime, timedelta

import pytest

from biobank.foundation.errors import Refusal
from biobank.monitoring.loggers import (
    LoggerDatesUnclear,
    LoggerFileUnread,
    LoggerTimeUnclear,
    LoggerZoneDiffers,
    LoggerZoneMissing,
    read_logger,
)

LIBERO = """\ufeffLIBERO CL;;
Serial number;30512345;
Time zone;UTC+01:00;
Alarm limit high;-130,0 °C;

Date;Time;Temperature [°C]
29.11.2026;01:00:00;-181,5
29.11.2026;01:10:00;-181,4
29.11.2026;01:20:00;-120,0
29.11.2026;02:30:00;-181,0
"""
TESTO = (
    '"Datum/Zeit";"1 [°C]"\r\n"03.11.2026 14:00:00";"-80,25"\r\n"03.11.2026 14:15:00";"-80,5"\r\n"03.11.2026 14:30:00";"---"\r\n'
)
EASYLOG = """EL-USB-TC,Time,Fahrenheit(°F),High Alarm,Low Alarm,Serial Number
1,11/29/2026 1:00:00 PM,-112.0,-94.0,-148.0,10042
2,11/29/2026 1:05:00 PM,-113.8,,,
"""


def read(text: str, **given: str) -> list[tuple[str, int]]:
    return [(f"{one.at:%d %H:%M}", one.value) for one in read_logger(text.encode(), **given).readings]  # type: ignore[arg-type]


def test_files_of_three_makers_are_read_with_their_units_their_zones_and_their_gaps() -> None:
    elpro = read_logger(LIBERO.encode())
    assert (elpro.serial, elpro.zone) == ("30512345", "UTC+01:00")
    assert [(one.row, one.value) for one in elpro.readings] == [(7, -181_500), (8, -181_400), (9, -120_000), (10, -181_000)]
    assert elpro.readings[0].at == datetime(2026, 11, 29, 0, 0, tzinfo=UTC)
    assert [end - start for start, end in elpro.gaps] == [timedelta(minutes=70)]

    testo = read_logger(TESTO.encode("cp1252"), zone="Europe/Vienna")
    assert [one.value for one in testo.readings] == [-80_250, -80_500] and testo.unread == 1
    assert testo.readings[0].at == datetime(2026, 11, 3, 13, 0, tzinfo=UTC)

    lascar = read_logger(EASYLOG.encode(), zone="America/New_York")
    assert (lascar.serial, [one.value for one in lascar.readings]) == ("10042", [-80_000, -81_000])
    assert lascar.readings[0].at == datetime(2026, 11, 29, 18, 0, tzinfo=UTC)


def test_a_level_and_an_offset_in_each_row_are_read() -> None:
    text = "Timestamp,Temperature (°C),Level (%)\n2026-11-29T01:00:00+01:00,-190.0,81.5\n2026-11-29T00:30:00Z,-190.1,\n"
    found = read_logger(text.encode())
    assert [(one.measure, one.value) for one in found.readings] == [
        ("temperature_mc", -190_000),
        ("level_ppm", 815_000),
        ("temperature_mc", -190_100),
    ]
    assert found.zone == "in each row"


@pytest.mark.parametrize(
    ("text", "given", "refusal", "says"),
    [
        (TESTO, {}, LoggerZoneMissing, "Europe/Vienna"),
        (TESTO, {"zone": "Viena"}, LoggerZoneMissing, "Viena"),
        (LIBERO, {"zone": "America/New_York"}, LoggerZoneDiffers, "UTC+01:00"),
        (LIBERO.replace("UTC+01:00", "W. Europe Standard Time"), {}, LoggerZoneMissing, "W. Europe"),
        (EASYLOG.replace("11/29", "03/04"), {"zone": "UTC"}, LoggerDatesUnclear, "03/04/2026"),
        (TESTO.replace("03.11", "29.03").replace(" 14:", " 02:"), {"zone": "Europe/Vienna"}, LoggerTimeUnclear, "Row 2"),
        (TESTO.replace("03.11", "25.10").replace(" 14:", " 02:"), {"zone": "Europe/Vienna"}, LoggerTimeUnclear, "Row 2"),
        (TESTO.replace("-80,5", "cold"), {"zone": "UTC"}, LoggerFileUnread, "Row 3"),
        (TESTO.replace("14:15", "14:00"), {"zone": "UTC"}, LoggerFileUnread, "Rows 2 and 3"),
        (TESTO.replace("1 [°C]", '1 [°C]";"2 [°C]'), {"zone": "UTC"}, LoggerFileUnread, "several probes"),
        ("a;b\n1;2\n", {"zone": "UTC"}, LoggerFileUnread, "names a time"),
    ],
)
def test_what_a_file_leaves_open_is_asked_and_never_guessed(
    text: str, given: dict[str, str], refusal: type[Refusal], says: str
) -> None:
    with pytest.raises(refusal) as refused:
        read(text, **given)
    assert says in refused.value.detail


def test_days_with_strokes_are_read_as_the_person_says_or_as_a_day_above_twelve_shows() -> None:
    stroke = "Time,Temperature °C\n{}/2026 10:00,-80\n"
    assert read(stroke.format("03/04"), zone="UTC", dates="day_first")[0][0].startswith("03 ")
    assert read(stroke.format("03/04"), zone="UTC", dates="month_first")[0][0].startswith("04 ")
    assert read(stroke.format("23/04"), zone="UTC")[0][0].startswith("23 ")
