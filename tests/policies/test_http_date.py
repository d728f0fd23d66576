import pytest

from policies.http_date import http_date, spelled

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        " Sun, 06 Nov 1994 08:49:37 GMT\t",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
    ],
)
def test_each_of_the_three_forms_is_read(text):
    assert http_date(text, NOW) == NOW


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-1", "soon", "784111777"),
        "SUN, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 NOV 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 AEST",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov  1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_anything_else_is_no_date(text):
    assert http_date(text, NOW) is None


def test_a_leap_second_is_the_first_of_the_next_minute():
    assert http_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == http_date("Sun, 01 Jan 2017 00:00:00 GMT", NOW)


@pytest.mark.parametrize(("year", "meant"), [("94", 1994), ("44", 2044), ("45", 1945), ("00", 2000)])
def test_a_year_of_two_digits_is_at_most_fifty_years_ahead(year, meant):
    assert http_date(f"Sunday, 06-Nov-{year} 08:49:37 GMT", NOW) == http_date(f"Sun, 06 Nov {meant} 08:49:37 GMT", NOW)


@pytest.mark.parametrize("moment", [0.0, NOW, 2_000_000_000.0, 253_402_300_799.0])
def test_what_is_written_is_read_back(moment):
    assert http_date(spelled(moment), NOW) == moment


def test_the_last_year_there_is_does_not_break_the_reader():
    assert http_date("Fri, 31 Dec 9999 23:59:60 GMT", NOW) is None
