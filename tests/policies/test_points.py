import pytest

from policies.points import objects


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({"key": "PROJ-1"}, 1),
        ({"issues": [{}, {}, {}], "total": 90}, 3),
        ({"issues": []}, 0),
        ({"values": [{}, {}]}, 2),
        ({"comments": [{}]}, 1),
        ([{}, {}], 2),
        ([], 0),
        (None, 0),
        (7, 0),
    ],
)
def test_how_many_objects_an_answer_shows(said, count):
    assert objects(said) == count
