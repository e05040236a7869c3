"""How long something takes, repeated until the median means something."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

# What is fast is repeated for so long, and so often at most.
LEAST_SECONDS = 0.5
MOST_TIMES = 200


@dataclass(frozen=True)
class Repeated:
    # The median.
    seconds: float
    # Of the processor, on average, by the clock that was given.
    cpu_seconds: float
    times: int


def repeat(ask: Callable[[], object], times: int, most_seconds: float, cpu_clock: Callable[[], float]) -> Repeated:
    """At least so often, unless that takes too long."""
    took, before = [], cpu_clock()
    while not took or (
        sum(took) < most_seconds and len(took) < MOST_TIMES and (len(took) < times or sum(took) < LEAST_SECONDS)
    ):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return Repeated(statistics.median(took), (cpu_clock() - before) / len(took), len(took))
