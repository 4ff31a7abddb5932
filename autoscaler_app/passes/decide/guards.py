"""Every guard of the control side, in one table: what it stops, and what ends that."""

from __future__ import annotations

from scalelib.guard import Guard

GUARDS = (
    Guard(
        name="very many silent",
        stops="ending nodes for silence, if more than `unhealthy_least` and `unhealthy_share` are silent",
        ended_by="a worker is heard that started after a node fell silent: that node goes",
        at_the_latest="`silent_timeout` once more; then `unhealthy_least` at a time",
        meanwhile="warning; `held-back`",
    ),
    Guard(
        name="a worker on no node",
        stops="ending nodes as `never-joined` on which it may be",
        ended_by="it is known where it is, it is silent, or it began before the node was asked for",
        at_the_latest="four times `join_timeout`, once it runs nothing",
        meanwhile="warning; `held-back`",
    ),
    Guard(
        name="nothing can be ended",
        stops="every ending, while the provider says why (`hold`)",
        ended_by="what the provider's own guard waits for",
        at_the_latest="its deadline",
        meanwhile="warning; `held-back`",
    ),
    Guard(
        name="unknown",
        stops="fencing and ending a node of which nothing is known now; nor is it room for work",
        ended_by="its workers tell what they have",
        at_the_latest=(
            "`silent_timeout` without a sign of life: it is replaced. While it gives signs of life and tells "
            "nothing, never: it may be at work. A new node is launched beside it"
        ),
        meanwhile="`unknown`; a warning after `silent_timeout`",
    ),
    Guard(
        name="two processes under one name",
        stops="the same, for their host",
        ended_by="one has left, or is found to be gone",
        at_the_latest="one is silent for `silent_timeout`",
        meanwhile="warning",
    ),
    Guard(
        name="somebody who is not believed",
        stops="taking a host for silent in whose name he speaks",
        ended_by="the host speaks, or nobody has spoken like that for a minute",
        at_the_latest="a person: `forget-key`",
        meanwhile="warning",
    ),
    Guard(
        name="a queue that cannot be read",
        stops="fencing and ending the hosts that consume it",
        ended_by="it can be read",
        at_the_latest="a person makes it readable, or deletes it: its kind is forgotten after `kinds_kept`",
        meanwhile="warning",
    ),
    Guard(
        name="an eviction notice",
        stops="giving a host work; the cloud is left to end it",
        ended_by="its machine is gone",
        at_the_latest="`idle_timeout` after its last task: it goes like any node that is idle",
        meanwhile="`leaving`",
    ),
    Guard(
        name="we are deaf",
        stops="taking anybody for silent or late",
        ended_by="our own echo comes back through the broker",
        at_the_latest="tried again for ever, at least every 10 s",
        meanwhile="`status`: not listening",
    ),
    Guard(
        name="nobody observed",
        stops="the idle clocks, for as long as it was so",
        ended_by="the next whole pass of a control worker that listens",
        at_the_latest="that pass",
        meanwhile="warning",
    ),
    Guard(
        name="paused",
        stops="launching, fencing and ending, or what of it `pause` names; not what people ask for by hand",
        ended_by="a person: `resume`; the time given with `--for`",
        at_the_latest="never: a person has asked for it; bad (`status --check`) after `paused_long`",
        meanwhile="warning; `paused`",
    ),
    Guard(
        name="on hold",
        stops="ending a node, and giving it work",
        ended_by="a person: `unhold`; the time given with `--for`",
        at_the_latest="never: a person has asked for it",
        meanwhile="`on-hold`; `status`",
    ),
    Guard(
        name="disruption budget",
        stops="choosing more nodes to go while `most_leaving` or `most_leaving_share` are on their way out",
        ended_by="one of those is gone, or called off",
        at_the_latest="when those are gone; a warning names one that does not get on for `drain_timeout`",
        meanwhile="warning; `budget`",
    ),
    Guard(
        name="quiet hours",
        stops="choosing nodes to go",
        ended_by="the hour that `quiet_hours` says",
        at_the_latest="that hour",
        meanwhile="`quiet-hours`",
    ),
    Guard(
        name="no money left",
        stops="launching, if `budget_stops` says so and a budget is used up",
        ended_by="a person: a higher `budget_per_day` or `budget_per_month`",
        at_the_latest="the next day or month begins (UTC)",
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="did not answer",
        stops="waiting for a worker that did not answer in time; it is asked aside",
        ended_by="it answers, or tells anything by itself",
        at_the_latest="its host is silent",
        meanwhile="`told` and `heard` in `nodes`",
    ),
    Guard(
        name="set aside",
        stops="launching what could not be had",
        ended_by="one node that is tried gets its machine",
        at_the_latest="its window (the provider's table)",
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="bought in vain",
        stops="buying more than one slot of work for which machines were bought that ran none of it",
        ended_by=(
            "a machine that was bought for it runs some of it; what it asks for changes; "
            "a person: `try-again`"
        ),
        at_the_latest=(
            "`futile_retry`: one is tried again; forgotten when nobody has asked for it for so long"
        ),
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="machines tell less",
        stops="buying a size for more than its machines were seen to have",
        ended_by=(
            "five younger machines of the size tell more; the cloud promises something else, or the image "
            "changes; a person: `try-again`"
        ),
        at_the_latest="`sizes_kept` after one has told it last",
        meanwhile="warning; `unserved`; `buckets`",
    ),
    Guard(
        name="run time unknown",
        stops="asking for more nodes for a queue than were asked for when it was first seen",
        ended_by="one of its tasks has ended",
        at_the_latest=(
            "a task has run for 5 s (or a boot, if that is shorter); two boots, or `target_drain_time`, "
            "after it was first seen"
        ),
        meanwhile="warning",
    ),
    Guard(
        name="for later",
        stops="counting a message that is known to be for later as waiting",
        ended_by=(
            "it is due within a boot and `eta_margin`; or a host that has room leaves it in its queue, and "
            "it is counted there"
        ),
        at_the_latest="its time: from then on it hides none that waits",
        meanwhile="`hearing.coming` in the report",
    ),
    Guard(
        name="messages nobody claims",
        stops="giving back a message while somebody who may have it has not answered",
        ended_by="everybody has named what he has, twice, or is not heard and has no connection",
        at_the_latest="the broker's own visibility timeout",
        meanwhile="warning",
    ),
    Guard(
        name="another control side",
        stops="every pass of this one",
        ended_by="the other gives up the lease",
        at_the_latest="`lease_seconds` after its last sign of life",
        meanwhile="each pass fails and says who has it",
    ),
    Guard(
        name="a pass is running",
        stops="a second one on this machine",
        ended_by="it is done",
        at_the_latest="its process ends: the kernel lets go of the lock",
        meanwhile="the second one says which process",
    ),
    Guard(
        name="passes in a row",
        stops="a pass that is asked for sooner than `least_gap` after the last; bursts are gathered",
        ended_by="the burst is over",
        at_the_latest="`batch_longest`",
        meanwhile="",
    ),
    Guard(
        name="slow pace",
        stops="nodes from telling as often as they like, if there are many",
        ended_by="there are fewer",
        at_the_latest="half of `told_within` is the slowest pace",
        meanwhile="log",
    ),
    Guard(
        name="too many kinds",
        stops="taking in new kinds of task where 5,000 are known",
        ended_by="some are unused for half an hour, and forgotten",
        at_the_latest="a person: queues in the settings are always known",
        meanwhile="warning",
    ),
    Guard(
        name="schedule cannot be read",
        stops="foreseeing the periodic tasks that are new in it",
        ended_by="it can be read: tried every 10 minutes",
        at_the_latest="what it sends counts when it is sent",
        meanwhile="warning",
    ),
)
