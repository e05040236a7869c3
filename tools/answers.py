"""Are the answers of two systems the same?"""

from datetime import date, datetime
from decimal import Decimal

# `uniq` and other sketches, which say that they estimate.
ESTIMATE_TOLERANCE = 0.05
# Of small numbers, one more or less is more than that.
ESTIMATE_SLACK = 3

Answer = list[list]


def plain(rows: list[tuple]) -> Answer:
    """Rows in an order of their own, of texts and numbers that JSON can carry."""
    return sorted(([_value(value) for value in row] for row in rows), key=repr)


def _value(value: object) -> object:
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        return text.removesuffix(" 00:00:00.000000")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _decimal(value: Decimal) -> int | str:
    """DuckDB's sums of integers are decimals, too."""
    return int(value) if value == value.to_integral_value() else str(value.normalize())


def difference(expected: Answer, found: Answer, estimate: bool = False) -> str | None:
    """The first difference. `estimate`: numbers of `found` may differ a little."""
    if len(expected) != len(found):
        return f"{len(found)} rows instead of {len(expected)}"
    for left, right in zip(expected, found, strict=True):
        if not _same_row(left, right, estimate):
            return f"{right} instead of {left}"
    return None


def _same_row(left: list, right: list, estimate: bool) -> bool:
    return len(left) == len(right) and all(_same(a, b, estimate) for a, b in zip(left, right, strict=True))


def _same(left: object, right: object, estimate: bool) -> bool:
    if estimate and isinstance(left, int) and isinstance(right, int):
        return abs(left - right) <= max(ESTIMATE_TOLERANCE * left, ESTIMATE_SLACK)
    return left == right
