"""What a pass adds to what is counted for metrics: what it did and spent, what became of tasks and nodes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from autoscaler_app.listening.activity.outcomes import Ends
from autoscaler_app.memory import tally
from autoscaler_app.memory.stories.story import Spent, Story
from autoscaler_app.memory.tally import Tally
from autoscaler_app.passes.act.deeds import Launched
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.plan import DeleteReason
from autoscaler_app.passes.report import Report, bucket_name
from scalelib.errors import ScalelibError

log = logging.getLogger(__name__)

ITSELF = "itself"
"""Why a node went that none of us ended."""
OTHERWISE = "otherwise"
"""Why a node went for which there is no word, but a sentence."""
WHY_GONE = (*(reason.value for reason in DeleteReason), ITSELF, OTHERWISE)


def count(
    control: Control,
    made: Report,
    launched: Iterable[Launched],
    news: Sequence[tuple[Iterable[Story], Iterable[Spent]]],
) -> None:
    """Write down what this pass adds. What goes wrong with that is logged and stops nothing."""
    ends = control.activity.take_ends()
    stories = [story for changed, _ in news for story in changed]
    money = sum(each.money for _, spent in news for each in spent)

    def added(before: Any) -> Any:
        return msgspec.to_builtins(counted(tally.read(before), made, launched, stories, money, ends))

    try:
        control.state.change(tally.TALLY, added)
    except ScalelibError as error:
        log.error("what is counted cannot be written: %s", error)


def counted(
    so_far: Tally,
    made: Report,
    launched: Iterable[Launched],
    stories: Iterable[Story],
    money: float,
    ends: Ends,
) -> Tally:
    """What was counted so far and what this pass adds. `stories`: those that have changed."""
    so_far.failed_passes += bool(made.error)
    so_far.failed_actions += sum(not action.ok for action in made.actions)
    launches = (node.launch for node in launched)
    names = (bucket_name(each.nodearray, each.vm_size, each.spot) for each in launches)
    tally.add(so_far.launched, Counter(names))
    tally.add(so_far.gone, Counter(why_gone(story) for story in stories if story.gone is not None))
    so_far.money += money
    so_far.waits.add(ends.waits, tally.WAIT_EDGES)
    so_far.passes.add([made.seconds], tally.PASS_EDGES)
    if made.saw is not None:
        busy = [queue.queue for queue in made.saw.queues if queue.waiting or queue.running or queue.held]
        so_far.know({queue.queue for queue in made.saw.queues}, busy)
    so_far.count_tasks(ends.runs, ends.failures)
    return so_far


def why_gone(story: Story) -> str:
    """The reason for which it was ended, in one of the words of `WHY_GONE`."""
    ended = story.moment("deleted")
    if ended is None:
        return ITSELF
    return next((word for word in WHY_GONE if word == ended.why), OTHERWISE)
