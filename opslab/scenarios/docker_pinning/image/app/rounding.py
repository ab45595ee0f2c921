"""Cents, as accounting rounds them."""

from decimal import ROUND_HALF_UP, Decimal


def fee(amount, percent):
    """So many percent of an amount."""
    return (Decimal(amount) * Decimal(str(percent)) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
