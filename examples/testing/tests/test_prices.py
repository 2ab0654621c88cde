import pytest

from prices import total


@pytest.mark.parametrize(
    ("unit_price", "count", "expected"),
    [(250, 0, 0), (250, 1, 250), (100, 9, 900), (100, 10, 950)],
)
def test_total(unit_price, count, expected):
    assert total(unit_price, count) == expected


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError):
        total(100, -1)
