"""What a pass has done, noted deed by deed, for its report."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler_app.passes.plan import Launch
from autoscaler_app.passes.report import Action, ActionKind


@dataclass(frozen=True, kw_only=True)
class Launched:
    """One node that the pass has created."""

    node_id: str
    node: str
    launch: Launch


class Deeds:
    """Filled while the pass acts; what is in it when the pass fails has been done."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.launched: list[Launched] = []
        """The nodes that were created, as far as the cloud has named them."""
        self.again = False
        """There is something that a further pass can go on with at once."""

    def note(
        self, kind: ActionKind, target: str, *, ok: bool = True, detail: str = "", count: int = 1
    ) -> None:
        """One thing that was done to the world, or was tried; to so many nodes or messages."""
        self.actions.append(Action(kind=kind, target=target, ok=ok, detail=detail, count=count))

    @property
    def all_done(self) -> bool:
        """Nothing that was tried has failed."""
        return all(action.ok for action in self.actions)
