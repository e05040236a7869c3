"""The ten funnels of `bench_funnels.py`, over what `make_events.py` generates."""

from dataclasses import dataclass, field

from questions import FUNNEL_DEFINITION


@dataclass(frozen=True)
class Asked:
    """A funnel of the site of this number, or of the last one: 0 is the largest."""

    site: int
    definition: dict = field(hash=False)
    # The dimension by which it is broken down.
    breakdown: str | None = None

    def of(self, sites: list[str]) -> dict:
        """As `footfall funnel create` takes it."""
        return self.definition | {"tracking_id": sites[min(self.site, len(sites) - 1)]}

    def options(self) -> str:
        options = [key for key in self.definition if key not in ("name", "steps", "window")]
        filters = [filters for step in self.definition["steps"] if (filters := step.get("filters"))]
        found = [f"{len(filters)} filters"] if filters else []
        if any("*" in value for values in filters for value in values.values()):
            found.append("*")
        return ", ".join([*found, *options])


def _view(path: str | None = None, **filters: str) -> dict:
    return _step("pageview", **filters | ({"page_path": path} if path else {}))


def _step(event_type: str, **filters: str) -> dict:
    name = " ".join([event_type, *filters.values()])
    return {"name": name, "event_type": event_type} | ({"filters": filters} if filters else {})


def _funnel(name: str, window: str, *steps: dict, **options: object) -> dict:
    return {"name": name, "steps": list(steps), "window": window} | options


CART, PURCHASE = _step("add_to_cart"), _step("purchase")

FUNNELS = (
    Asked(0, FUNNEL_DEFINITION),
    Asked(0, _funnel("Search to cart", "1h", _view("/search"), _view("/product/*"), CART), "device"),
    Asked(0, _funnel("Campaign", "14d", _view(utm_campaign="s*"), _view("/product/*"), CART, PURCHASE), "utm_campaign"),
    Asked(0, _funnel("Mobile", "1d", _view(device="mobile"), _view("/cart"), _view("/checkout"), PURCHASE), "country"),
    Asked(0, _funnel("Engaged", "7d", _view("/"), _step("scroll"), _step("click", product_id="1*"), CART, PURCHASE)),
    Asked(1, _funnel("Purchase", "3d", _view("/product/*"), CART, PURCHASE, step_window="1d"), "channel"),
    Asked(2, _funnel("Germany", "14d", _view("/product/1*", country="DE"), CART, _view("/checkout")), "browser"),
    Asked(10, _funnel("One visit", "1h", _view(), CART, PURCHASE, strict_deduplication=True, scope="session")),
    Asked(50, _funnel("Later", "12h", _view("/"), _view("/search"), _step("click"), CART, strict_increase=True), "source"),
    Asked(199, _funnel("Straight", "7d", _view(), _step("click"), CART, strict_order=True), "os"),
)  # fmt: skip
