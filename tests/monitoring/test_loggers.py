"""The files of three makers, and what they leave open is asked with the row named. No database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.foundation.errors import Refusal
from biobank.monitoring.logger_times import (
    LoggerDatesUnclear,
    LoggerFileUnread,
    LoggerTimeUnclear,
    LoggerZoneDiffers,
    LoggerZoneMissing,
)
from biobank.monitoring.loggers import read_logger

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


ONE = "2026-01-04 12:00:00"
V, N = "Europe/Vienna", "America/New_York"


@pytest.mark.parametrize(
    "heading",
    [
        "Time;Min Temp (°C);Max Temp (°C);Avg Temp (°C)",
        "Time;Temp [°C];Min [°C];Max [°C]",
        "Time;Average Temp [°C];Highest [°C];Lowest [°C]",
        "Time;Temp [°C];Maximum [°C]",
        "Time;Max Temp [°C]",
        "Time;Temp Max. °C;Level (%)",
        "Zeit;Mittel [°C];Tiefstwert [°C];Höchstwert [°C]",
        "Time;Peak °F",
        "Time;Low (°C);High (°C)",
        "Time;Level (%);Min level (%)",
    ],
)
def test_the_lowest_and_the_highest_of_an_interval_are_never_thrown_away(heading: str) -> None:
    with pytest.raises(LoggerFileUnread, match=r"intervals|probes"):
        read(f"{heading}\n{ONE};{';'.join(['-150'] * heading.count(';'))}\n", zone="UTC")


@pytest.mark.parametrize(
    ("heading", "row", "value"),
    [
        ("EL-USB-2,Time,Celsius(°C),Humidity(%rh),Dew Point(°C),Serial Number", f"1,{ONE},21.5,40.0,7.4,010012345", 21_500),
        ("Time;Temp [°C];Taupunkt [°C]", f"{ONE};21,5;7,4", 21_500),
        ("Time,Set point (°C),Actual (°C)", f"{ONE},-190,-100", -100_000),
        ("Time,Temp (°C) 10 min mean", f"{ONE},-190", -190_000),
        ("Time,High Alarm °C,Temp °C,Low limit °C", f"{ONE},-130,-181,-200", -181_000),
        ("Time,Wet bulb (°C),Dry bulb (°C)", f"{ONE},15,21", 21_000),
        ("Time,Temperature (F),Dew point (°C)", f"{ONE},-112,-100", -80_000),
        ("Time,Temp deg C", f"{ONE},-80", -80_000),
    ],
)
def test_what_stands_in_degrees_and_is_no_reading_is_left_out(heading: str, row: str, value: int) -> None:
    assert [one for _, one in read(f"{heading}\n{row}\n", zone="UTC")] == [value]


def test_a_set_point_alone_is_no_reading() -> None:
    with pytest.raises(LoggerFileUnread, match="names a time"):
        read(f"Time,Setpoint °C,Remark\n{ONE},-190,-100\n", zone="UTC")


HOBO = 'Plot Title: T\n#,"Date Time, {}","Temp, °C (LGR S/N: 1, SEN S/N: 2)"\n1,2026-01-04 12:00:00,-190.1\n'
UNDER = "{}\nDate;Time;Temp [°C]\n04.01.2026;12:00:00;-80,5\n"
IN_ROW = "Date Time;Temp [°C]\n{};-80,5\n"


@pytest.mark.parametrize(
    ("text", "given", "shown"),
    [
        (HOBO.format("GMT-05:00"), {}, "04 17:00"),
        (HOBO.format("GMT-05:00"), {"zone": "UTC-5"}, "04 17:00"),
        (HOBO.format("UTC"), {}, "04 12:00"),
        (HOBO.format("GMT+01"), {}, "04 11:00"),
        (HOBO.format("GMT +05:30"), {}, "04 06:30"),
        ("Date (UTC);Time;Temp [°C]\n04.01.2026;12:00:00;-80,5\n", {}, "04 12:00"),
        ("UTC Time;Temp [°C]\n04.01.2026 12:00:00;-80,5\n", {}, "04 12:00"),
        ("datetime_utc;Temp [°C]\n2026-01-04 12:00:00;-80,5\n", {}, "04 12:00"),
        ("Date;Time;Time zone;Temp [°C]\n04.01.2026;12:00:00;Europe/Vienna;-80,5\n", {}, "04 11:00"),
        (UNDER.format("Time zone:;Europe/Vienna (UTC+01:00)"), {}, "04 11:00"),
        (UNDER.format("Time zone:;(UTC+01:00)"), {}, "04 11:00"),
        (UNDER.format("Time zone offset: +0530"), {}, "04 06:30"),
        (UNDER.format("Time zone:;(UTC+01:00) Amsterdam, Berlin"), {"zone": V}, "04 11:00"),
        (UNDER.format("Time zone:;UTC+1 (summer time)"), {"zone": V}, "04 11:00"),
        (UNDER.format("Time zone:;W. Europe Standard Time"), {"zone": V}, "04 11:00"),
        (UNDER.format("Time zone:;Local"), {"zone": V}, "04 11:00"),
        (UNDER.format("Report created time 01.03.2026 (UTC)"), {"zone": V}, "04 11:00"),
        (IN_ROW.format("04.01.2026 1:05:00 P.M."), {"zone": "UTC"}, "04 13:05"),
        (IN_ROW.format("04.01.2026 1:05:00 p. m."), {"zone": "UTC"}, "04 13:05"),
        (IN_ROW.format("04.01.2026 12:05 a.m."), {"zone": "UTC"}, "04 00:05"),
        (IN_ROW.format("2026-01-04 1:05:00\u202fPM"), {"zone": "UTC"}, "04 13:05"),
        (IN_ROW.format("2026-01-04 12:00:00+01"), {}, "04 11:00"),
        (IN_ROW.format("2026-01-04T12:00:00.000-0500"), {}, "04 17:00"),
        (IN_ROW.format("2026-01-04 12:00:00 UTC"), {}, "04 12:00"),
        (IN_ROW.format("2026-01-04 12:00:00 UTC"), {"zone": V}, "04 12:00"),
        (IN_ROW.format("2026-01-04 12:00:00 GMT+2"), {}, "04 10:00"),
        (IN_ROW.format("2026-07-04 12:00:00 CEST"), {}, "04 10:00"),
        (IN_ROW.format("2026-10-25 02:30:00 CET"), {}, "25 01:30"),
        (IN_ROW.format("12:00:00 04.01.2026"), {"zone": "UTC"}, "04 12:00"),
        (IN_ROW.format("26-01-04 12:00:00"), {"zone": "UTC"}, "04 12:00"),
        ("Elapsed time;Date;Time;Temp [°C]\n00:05:00;04.01.2026;12:00:00;-80,5\n", {"zone": "UTC"}, "04 12:00"),
        ("Laufzeit;Datum;Zeit;Temp [°C]\n00:05:00;04.01.2026;12:00:00;-80,5\n", {"zone": "UTC"}, "04 12:00"),
    ],
)
def test_a_time_is_what_the_whole_of_the_file_says_of_it(text: str, given: dict[str, str], shown: str) -> None:
    ((at, value),) = read(text, **given)
    assert at == shown and value in (-80_500, -190_100)


@pytest.mark.parametrize(
    ("text", "given", "refusal"),
    [
        (HOBO.format("GMT-05:00"), {"zone": V}, LoggerZoneDiffers),
        ("Date (UTC);Time;Temp [°C]\n01.07.2026;12:00:00;-80,5\n", {"zone": V}, LoggerZoneDiffers),
        ("UTC Time;Temp [°C]\n01.07.2026 12:00:00;-80,5\n", {"zone": V}, LoggerZoneDiffers),
        (UNDER.format("Time zone:;(UTC+01:00) Amsterdam"), {"zone": N}, LoggerZoneDiffers),
        (UNDER.format("Time zone:;(UTC+01:00) Amsterdam"), {}, LoggerZoneMissing),
        (UNDER.format("Time zone:;UTC+1 (summer time)"), {"zone": "UTC"}, LoggerZoneDiffers),
        (UNDER.format("Time zone:;W. Europe Standard Time"), {"zone": N}, LoggerZoneDiffers),
        (UNDER.format("Time zone:;Mars Standard Time"), {"zone": N}, LoggerZoneDiffers),
        (UNDER.format("Time zone:;Europe/Vienna").replace("Date;", "Date (UTC);"), {}, LoggerFileUnread),
        (UNDER.format("Time zone:;Local"), {}, LoggerZoneMissing),
        (IN_ROW.format("2026-01-04 12:00:00 XYZ"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("2026-01-04 12:00:00 about"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("2026-01-04 13:00:00 PM"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("2026-01-04 12:00:00 2026-01-05"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("x2026-01-04 12:00:00"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("2026-01-04 12:00:000"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("26-01-25 12:00:00"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("2026/13/04 12:00:00"), {"zone": V}, LoggerFileUnread),
        (IN_ROW.format("03-04-2026 12:00:00"), {"zone": "UTC"}, LoggerDatesUnclear),
        (IN_ROW.format("3-4-26 12:00:00"), {"zone": "UTC"}, LoggerDatesUnclear),
        (f"Time,Temp (°C)\n{ONE},-80,5\n", {"zone": "UTC"}, LoggerFileUnread),
        (f"No,Time,Temp (°C),Alarm\n1,{ONE},-80,5,0\n", {"zone": "UTC"}, LoggerFileUnread),
        (f"Time,Temp (°C)\n{ONE},-80°F\n", {"zone": "UTC"}, LoggerFileUnread),
        ("Elapsed time;Temp [°C]\n00:05:00;-80,5\n", {"zone": "UTC"}, LoggerFileUnread),
    ],
)
def test_what_a_file_says_of_its_times_is_never_overruled_or_cut_off(
    text: str, given: dict[str, str], refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        read(text, **given)


def test_days_with_hyphens_are_asked_for_as_days_with_strokes_are() -> None:
    hyphens = IN_ROW.format("03-04-2026 12:00:00")
    assert read(hyphens, zone="UTC", dates="day_first")[0][0] == "03 12:00"
    assert read(hyphens, zone="UTC", dates="month_first")[0][0] == "04 12:00"
    assert read(IN_ROW.format("23-04-2026 12:00:00"), zone="UTC")[0][0] == "23 12:00"
    assert read(IN_ROW.format("04-23-2026 12:00:00"), zone="UTC")[0][0] == "23 12:00"


MOMENTS = st.datetimes(datetime(2021, 1, 1), datetime(2039, 12, 31)).map(lambda one: one.replace(microsecond=0))
DAYS = {"day_first": ["%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y"], "month_first": ["%m/%d/%Y", "%m-%d-%Y"]}
CLOCKS = ["%H:%M:%S", "%I:%M:%S %p"]
ENDS = [("", None), ("Z", 0), (" UTC", 0), ("+01", 60), ("+0530", 330), ("-05:00", -300), (" GMT-3", -180)]


@given(
    MOMENTS,
    st.sampled_from(["day_first", "month_first"]),
    st.integers(0, 2),
    st.sampled_from(CLOCKS),
    st.sampled_from(ENDS),
    st.booleans(),
)
def test_every_way_to_write_a_time_says_the_same(
    shown: datetime, order: str, way: int, clock: str, end: tuple[str, int | None], iso: bool
) -> None:
    day = "%Y-%m-%d" if iso else DAYS[order][way % len(DAYS[order])]
    stamp = shown.strftime(f"{day} {clock}") + end[0]
    found = read_logger(IN_ROW.format(stamp).encode(), zone="UTC+01:00", dates=order).readings  # type: ignore[arg-type]
    assert [one.at for one in found] == [shown.replace(tzinfo=UTC) - timedelta(minutes=60 if end[1] is None else end[1])]


@given(st.text("0123456789:-/. TZ+apmAPMUC", max_size=24))
def test_any_other_time_is_refused_with_its_row(stamp: str) -> None:
    try:
        found = read(IN_ROW.format(stamp.replace(";", "")), zone="UTC")
    except (LoggerFileUnread, LoggerDatesUnclear) as refused:
        assert refused.detail
    else:
        assert len(found) == 1
