"""Prices in cents."""

REBATE_FROM = 10
REBATE_PERCENT = 5


def total(unit_price, count):
    """Returns the price of `count` pieces, with the rebate for large orders."""
    if count < 0:
        raise ValueError("the count is negative")
    price = unit_price * count
    if count >= REBATE_FROM:
        price -= price * REBATE_PERCENT // 100
    return price
