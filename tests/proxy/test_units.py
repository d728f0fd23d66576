import pytest

from proxy.units import duration, size, spell, spell_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1.5h", 5400),
        ("24h", 86400),
        ("7d", 604800),
        (0, 0),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["5 parsecs", "5", 5, 5.0, "-5s", "5 m", "m", "", None, True, False, [], "1e3s", "9999999999s", "٣s"]
)
def test_what_has_no_known_unit_is_not_a_duration(text):
    with pytest.raises(ValueError, match=r"is not a duration \(try 30s, 5m, 1h, 24h\)"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512B", 512),
        ("1KiB", 1024),
        ("256MiB", 256 * 1024**2),
        ("1.5GiB", 1536 * 1024**2),
        ("1kB", 1000),
        ("2gb", 2 * 10**9),
        (0, 0),
    ],
)
def test_a_size_is_read_in_bytes(text, count):
    assert size(text) == count
    assert isinstance(size(text), int)


@pytest.mark.parametrize("text", ["8", 8, "8 MiB", "8MiBs", "8m", "-1B", "", None, False])
def test_what_has_no_known_unit_is_not_a_size(text):
    with pytest.raises(ValueError, match=r"is not a size \(try 512KiB, 8MiB, 1GiB\)"):
        size(text)


@pytest.mark.parametrize("text", ["250ms", "30s", "90s", "5m", "1h", "1d", "0s", "7d"])
def test_a_spelled_duration_reads_back_as_itself(text):
    assert spell(duration(text)) == text


@pytest.mark.parametrize("text", ["1B", "1500B", "64KiB", "8MiB", "1GiB", "1025MiB", "0B"])
def test_a_spelled_size_reads_back_as_itself(text):
    assert spell_size(size(text)) == text


def test_a_value_is_repeated_as_it_was_given():
    with pytest.raises(ValueError, match=r"^'5 parsecs' is not"):
        duration("5 parsecs")
    with pytest.raises(ValueError, match=r"^300 is not"):
        duration(300)
