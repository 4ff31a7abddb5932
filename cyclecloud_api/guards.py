"""Every guard of the provider, in one table: what it stops, and what ends that."""

from __future__ import annotations

from scalelib.guard import Guard

GUARDS = (
    Guard(
        name="circuit breaker",
        stops="all growth and all ending, while too many nodes are unhealthy or too many creates failed",
        ended_by="all is well, and some node is up to prove it",
        at_the_latest=(
            "10 minutes: then one node at a time is tried and failed ones may be ended, for 5 minutes"
        ),
        meanwhile="warning; `held-back`",
    ),
    Guard(
        name="window of an offering",
        stops="launching in an offering that could not be had",
        ended_by="",
        at_the_latest=(
            "`cyclecloud.capacity_backoff` (`trouble_backoff`), doubled with each failed probe, an hour at "
            "most; then one node is tried"
        ),
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="one node is being tried",
        stops="launching more in an offering after a window or an eviction",
        ended_by="that node gets its machine, or fails",
        at_the_latest="10 minutes",
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="ten failed creates",
        stops="launching in an offering with ten failed creates within an hour",
        ended_by="",
        at_the_latest="an hour after the first of them",
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="none available",
        stops="launching what the server offers none of though no limit is reached",
        ended_by="the server offers some: one node is tried",
        at_the_latest="never sooner: there is nothing to be had",
        meanwhile="warning; `unserved`",
    ),
    Guard(
        name="wrong password",
        stops="sending anything with an account that was refused: five refusals would lock it",
        ended_by="another password",
        at_the_latest="65 s",
        meanwhile="each pass fails and says so",
    ),
    Guard(
        name="open launch",
        stops="giving up a launch whose fate is unknown; it may still arrive",
        ended_by="the server knows it, or has answered that it does not",
        at_the_latest="5 minutes, or three times sent; what arrives later is adopted",
        meanwhile="action `settle`",
    ),
    Guard(
        name="two looks",
        stops="ending an id that one look alone has shown under its name",
        ended_by="the next look that agrees",
        at_the_latest="that look is made before the call",
        meanwhile="the action says so",
    ),
    Guard(
        name="told to end",
        stops="ending a node again that was told to end",
        ended_by="it is not listed any more",
        at_the_latest="`leave_timeout`: it is told again",
        meanwhile="action `delete`, again",
    ),
)
