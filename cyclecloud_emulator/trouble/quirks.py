"""The points on which the documentation is silent, as switches.

Each default is the best guess; each other value is an answer that a client has to tolerate. The numbers
in brackets are the rows of the table in docs/emulator.md.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this server answers where nobody wrote down how servers answer."""

    error_bodies: Literal["json", "html", "empty", "text"] = "json"
    """[1] What the body of an error is."""
    unauthorised: Literal["challenge", "redirect", "bare"] = "challenge"
    """[2] 401 with a basic challenge, a redirect to a sign-in page, or 401 with nothing."""
    unknown_cluster: Literal["404", "409", "empty"] = "404"
    """[3] A cluster that does not exist; `empty` answers a status with no nodearrays."""
    unknown_operation: Literal["404", "empty"] = "404"
    """[4] An operation id that does not exist, in `nodes?operation=`."""
    status_words: Literal["current", "older"] = "current"
    """[5] `older` says Started for Ready and Allocating for Acquiring."""
    capacity_failure: Literal["failed", "unavailable", "vanish"] = "failed"
    """[6, 7] What a node that gets no machine shows before its record vanishes."""
    eviction: Literal["terminating", "unavailable", "vanish"] = "terminating"
    """[8] What an evicted node shows before its record vanishes."""
    capacity_memory: Literal["hour", "success"] = "success"
    """[9] `lastCapacityFailure` is forgotten after an hour only, or by a success too."""
    throttle_scope: Literal["size", "bucket"] = "size"
    """[10] What one capacity failure throttles: the size in the region, or that bucket alone."""
    keep_alive: Literal["error", "ok", "conflict"] = "error"
    """[11] Terminate of a protected node: an error for that node, OK and ignored, or 409 for all."""
    terminate_twice: Literal["ok", "error", "absent"] = "ok"
    """[12] Terminate of a node that is on its way out already."""
    name_collision: Literal["next", "fewer"] = "next"
    """[13] A name of `nameFormat` that is taken: the next free number, or fewer added."""
    offset_without_format: Literal["ignored", "used"] = "ignored"
    """[14] `nameOffset` without `nameFormat`."""
    numbering: Literal["gaps", "increasing"] = "gaps"
    """[15] New nodes take the lowest free number, or always a new one."""
    over_ask: Literal["partial", "none", "conflict"] = "partial"
    """[16] More than the limits allow: what fits, nothing, or 409."""
    request_scope: Literal["server", "cluster"] = "server"
    """[17] Where a requestId counts as used."""
    operation_seconds: int = 0
    """[17] How long operations and request ids are remembered; 0 is for ever."""
    operation_action: Literal["verb", "create", "absent"] = "verb"
    """[18] `action` of an operation that is not a create."""
    location: Literal["absolute", "relative", "absent"] = "absolute"
    """[19] The Location header."""
    no_selector: Literal["409", "400", "empty"] = "409"
    """[20] A management request that selects nothing."""
    dates: Literal["iso", "object", "absent"] = "iso"
    """[21] Dates in node records: a string, or an object with the key `$date`."""
    head_node: Literal["nodes", "both", "neither"] = "nodes"
    """[22] Which of `…/nodes` and `status` list nodes that belong to no nodearray."""
    off_nodes: Literal["nodes", "both"] = "nodes"
    """[23] Which of the two list nodes that are Off."""
    empty_fields: Literal["value", "null", "absent"] = "value"
    """[24] KeepAlive that is not set, PlacementGroupId that is none: false and null, both null, or absent."""
    spot_quota: Literal["regional", "zero"] = "regional"
    """[25] `quotaCount` and `quotaCoreCount` of spot buckets."""
    max_count: Literal["gross", "net"] = "gross"
    """[26] Whether quota used by others is taken off `maxCount`."""
    spot_score: Literal["absent", "empty", "High", "Medium", "Low"] = "absent"
    """[28] `spotPlacementScore` of spot buckets."""
    rate_limit_per_minute: int = 0
    """[29] 429 after so many requests within a minute; 0 is no limit."""
    not_started: Literal["409", "off"] = "409"
    """[31] A create in a cluster that is not started: refused, or records that stay Off."""
    quota_age_seconds: float = 0.0
    """[32] How old the consumed numbers are."""
    text_plain: Literal["accepted", "refused"] = "accepted"
    """[33] A JSON body that is labelled text/plain."""
    both_filters: Literal["400", "intersection"] = "400"
    """`nodes?operation=…&request_id=…`."""
    node_id_delay_seconds: float = 0.0
    """How long a new node record has no NodeId."""
    address_delay_seconds: float = 0.0
    """How long a Ready node has neither address nor host name."""
    target_state: Literal["always", "late"] = "always"
    """`late` leaves TargetState out while a node is Acquiring."""
    reuse_addresses: bool = False
    """New nodes take the lowest free address, so that host names come back; else they never do."""
    available_ignores_terminating: bool = False
    """`availableCount` leaves nodes on their way out uncounted, and so promises too much."""
    deallocated_over_limit: bool = True
    """Starting deallocated nodes ignores the limits of the nodearray."""
    old_buckets: bool = False
    """Buckets without the fields that came after 7.x."""
    lock_accounts: bool = True
    """Five bad passwords, each within a minute of the one before, lock the account for five minutes."""
