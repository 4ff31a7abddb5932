"""What happens in one step on the server.

No script undoes what it has done when a command in it is refused (a right that is missing, a key of another
kind), so each writes a message down before it takes it away: cut short, it leaves a message twice, never not
at all. And each begins with a write that a full server admits: Redis then lets the rest of it pass, and a
server that is full can be emptied.

Redis 6.2 and newer, Valkey. Time is the server's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError


class Script:
    """One of them. Called, it runs; it raises what redis-py raises."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: Any, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return client.evalsha(self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)

    def command(self, keys: Sequence[str], arguments: Sequence[Any]) -> list[Any]:
        """The same as words of a command, for whoever reads the answer later."""
        return ["EVALSHA", self.digest, len(keys), *keys, *arguments]


_NOW = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
"""
_WAKE = """
local function wake(token)
  if redis.call('EXISTS', token) == 0 then
    redis.call('LPUSH', token, '1')
    redis.call('EXPIRE', token, 10)
  end
end
"""
_LIVES = """
local function lives(consumer, channel, silence)
  if redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then return false end
  local said = redis.call('ZSCORE', KEYS[1], consumer)
  return not said or tonumber(said) > now - silence
end
"""

TAKEN, REFUSED = 1, 2

TAKE = Script(
    _NOW
    + _WAKE
    + """
local tag, consumer, queues = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('ZREM', KEYS[2], tag)
if redis.call('EXISTS', KEYS[4]) == 1 or redis.call('HEXISTS', KEYS[1], tag) == 1 then return {2} end
for position = 5 + queues, #KEYS do
  local list, queue = KEYS[position], (position - 5) % queues
  local element = redis.pcall('LINDEX', list, -1)
  if type(element) == 'table' and not string.find(element.err, 'WRONGTYPE', 1, true) then return element end
  if type(element) == 'string' then
    local ending = ARGV[4 + queue]
    if ending ~= '' then
      redis.call('HSET', KEYS[1], tag, '[' .. element .. ending)
      redis.call('ZADD', KEYS[2], now, tag)
      redis.call('ZADD', KEYS[3], now, consumer)
    end
    redis.call('RPOP', list)
    if redis.call('EXISTS', list) == 1 then wake(KEYS[5 + queue]) end
    return {1, queue, element}
  end
end
return false
"""
)
"""The next message of these queues: [1, the number of its queue, the message]; nil if there is none.

Keys: hash, index, consumers, the refusal of this tag, the token of each queue, the lists as they are to be
looked at (a multiple of the queues). Arguments: tag, consumer, number of queues, and of each queue what its
entry ends with, or nothing where nobody will acknowledge. [2] if it is refused, or was done before: whoever
sends a command again after an error must not take a second message under one tag.
"""

PUT = Script(
    _WAKE
    + """
redis.call('LPUSH', KEYS[1], ARGV[1])
wake(KEYS[2])
"""
)
"""A message into a list, and a token for one who waits. Keys: list, token. Argument: the message."""

SETTLE = Script(
    """
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
)
"""It is done with: 1, or 0 if it was not there any more. Keys: hash, index. Argument: tag."""

GIVE_BACK = Script(
    _NOW
    + _WAKE
    + _LIVES
    + """
local tag, entry, message, push, consumer, channel, silence = unpack(ARGV)
if consumer ~= '' and lives(consumer, channel, tonumber(silence)) then return -1 end
if redis.call('HGET', KEYS[2], tag) ~= entry then return 0 end
redis.call('ZREM', KEYS[3], tag)
for position = 4, #KEYS, 2 do redis.call(push, KEYS[position], message) end
redis.call('HDEL', KEYS[2], tag)
for position = 4, #KEYS, 2 do wake(KEYS[position + 1]) end
return 1
"""
)
"""From the hash into its queue, if it is still there as it was read: 1, else 0.

Keys: consumers, hash, index, then of each queue its list and its token. Arguments: tag, the entry as it was
read, the message as it is to be sent again, RPUSH (it is next) or LPUSH (it is last); and, where it is to be
done only if somebody is dead, the consumer, its channel and after how many seconds of silence one is dead
whatever its connection: -1 if it lives.
"""

SET_ASIDE = Script(
    """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[2])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
)
"""What is no message, out of the way. Keys: hash, index, list. Arguments: tag, the element."""

PULSE = Script(
    _NOW
    + """
local me, lease, silence, channel = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
redis.call('ZADD', KEYS[1], now, me)
local heard = redis.call('PUBSUB', 'NUMSUB', channel .. me)[2]
if redis.call('GET', KEYS[2]) == me then
  redis.call('PEXPIRE', KEYS[2], lease)
elseif not redis.call('SET', KEYS[2], me, 'NX', 'PX', lease) then
  return {heard}
end
local answer = {heard}
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  if redis.call('PUBSUB', 'NUMSUB', channel .. all[i])[2] == 0 or tonumber(all[i + 1]) < now - silence then
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = all[i + 1]
  end
end
return answer
"""
)
"""A consumer says that it lives: [how many listen to its channel, and, if it is the one that looks after the
others, of each that seems dead its name and when it last said so].

Keys: consumers, watcher. Arguments: consumer, how long in milliseconds it is the one from now on, after how
many seconds of silence another one seems dead, what channels begin with.
"""

FORGET = Script(
    _NOW
    + _LIVES
    + """
local consumer, said, channel, silence = unpack(ARGV)
if redis.call('ZSCORE', KEYS[1], consumer) ~= said or lives(consumer, channel, tonumber(silence)) then
  return 0
end
return redis.call('ZREM', KEYS[1], consumer)
"""
)
"""Of a dead one nothing is left: off the list, unless it has fetched or said something since.

Keys: consumers. Arguments: consumer, when it last said that it lives, its channel, seconds of silence.
"""

POST = Script(
    """
local mine = {}
for number, post in ipairs(KEYS) do
  if redis.call('GET', post) == ARGV[1] then
    redis.call('PEXPIRE', post, ARGV[2])
    mine[#mine + 1] = number - 1
  elseif redis.call('SET', post, ARGV[1], 'NX', 'PX', ARGV[2]) then
    mine[#mine + 1] = number - 1
  end
end
return mine
"""
)
"""Of these posts, the numbers of those that are the consumer's. Arguments: consumer, milliseconds."""

LOOK = Script(
    """
local width = tonumber(ARGV[1])
for first = 1, #KEYS, 1 + width do
  local waiting = 0
  for list = first + 1, first + width do
    local length = redis.pcall('LLEN', KEYS[list])
    if type(length) == 'number' then waiting = waiting + length end
  end
  if waiting > 0 then
    redis.call('LPUSH', KEYS[first], '1')
    redis.call('LTRIM', KEYS[first], 0, 0)
    redis.call('EXPIRE', KEYS[first], 10)
  end
end
"""
)
"""Leave a token wherever something waits. Keys: of each queue its token and its lists; argument: how many
lists it has. It reads nothing but the lists: a change of whatever is read is told.
"""
