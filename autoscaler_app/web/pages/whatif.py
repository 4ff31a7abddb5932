"""What would be planned, and what it would cost, if other work waited: the answer of `whatif`."""

from __future__ import annotations

from autoscaler_app.web.hands.deeds import Said
from autoscaler_app.web.markup import Html, join, tag
from autoscaler_app.web.pages import parts


def shown(queue: str, count: str, said: Said | None) -> Html:
    """The question, and its answer if it was asked."""
    what = {"required": "", "name": "queue", "value": queue, "placeholder": "queue", "aria_label": "queue"}
    many = {"required": "", "name": "count", "value": count, "placeholder": "500", "aria_label": "tasks"}
    fields = (tag("input", **what), tag("input", class_="short", **many))
    form = tag("form", *fields, tag("button", "What if"), action="whatif")
    note = "What would be planned if so many tasks waited in this queue. Nothing is written or sent."
    asked = tag("section", tag("h2", "What if"), tag("p", note, class_="detail"), form, class_="hands")
    if said is None:
        return asked
    inner = tag("pre", said.text, id="whatif") if said.ok else tag("p", said.text, class_="banner bad")
    return join((asked, parts.section(f"If {count} tasks waited in {queue}", inner)))
