"""Tags are one string of bytes, and come out of it as they went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.tags import Tags


@given(st.lists(st.text(st.characters(exclude_characters="\n"))))
def test_tags_come_out_as_they_went_in(tags):
    assert list(Tags.of(tags)) == tags
    assert list(Tags.read(Tags.of(tags).packed)) == tags


@pytest.mark.parametrize(("tags", "parted"), [(["a\nb"], ["a", "b"]), (["\n"], ["", ""]), ([], []), ([""], [""])])
def test_a_line_break_parts_a_tag_in_two(tags, parted):
    assert list(Tags.of(tags)) == parted


def test_lone_surrogates_pass():
    assert list(Tags.of(["issue:\udc80"])) == ["issue:\udc80"]


@pytest.mark.parametrize("packed", [b"issue:PROJ-1", b"a\nb", b"\xff\n", b"a\n\xc3"])
def test_bytes_that_are_no_tags_are_refused(packed):
    with pytest.raises(ValueError):
        Tags.read(packed)
