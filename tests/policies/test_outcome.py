import pytest

from policies.outcome import is_settled


@pytest.mark.parametrize(
    ("status", "answer", "settled"),
    [
        (200, {"id": "10001"}, True),
        (204, None, True),
        (302, None, True),
        (404, {"errorMessages": ["no"]}, True),
        (None, None, False),
        (500, None, False),
        (504, None, False),
        (202, None, False),
        (202, "10641", False),
        (303, {"id": "1", "status": "ENQUEUED"}, False),
        (201, {"taskId": "10641"}, False),
        (200, [{"taskId": "10641"}], True),
    ],
)
def test_an_answer_tells_whether_its_write_may_still_change_something(status, answer, settled):
    assert is_settled(status, answer) == settled
