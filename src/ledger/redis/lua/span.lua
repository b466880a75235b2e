#!lua flags=no-writes
-- Which part of its journal a partition still has: the sequence of the first entry that is kept, and that of the next one; and the
-- partition's time. All are looked at in one step, and the block, which may be large, is not sent.
local state = redis.call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
local _, sequence, now = struct.unpack(STATE_FORMAT, state)
local first = redis.call('XRANGE', JOURNAL, '1-0', '+', 'COUNT', 1)[1]
return { first and tonumber(string.match(first[1], '^%d+')) or sequence + 1, sequence + 1, now }
