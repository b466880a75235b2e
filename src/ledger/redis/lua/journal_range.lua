#!lua flags=no-writes
-- Which part of its journal a partition still has: the sequence of the first entry that is kept, and that of the next one; the
-- partition's time; whether somebody reads the journal; whether a step was torn, so that its block stands where the next entry goes; when
-- the next reservation expires; and from when on the generations of request ids last for a window at most. All are looked at in one step, and the blocks, which may be large, are not sent.
-- ARGV: the ledger.
local state = redis.call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
local _, sequence, now, _, next_expiry, rotated_at, _, _, _, _, _, _, _, older_reserved_until = struct.unpack(STATE_FORMAT, state)
if string.sub(state, -9, -2) ~= ARGV[1] then return { err = 'OTHERSTORE the store is of another ledger' } end
local first = redis.call('XRANGE', JOURNAL, '1-0', '+', 'COUNT', 1)[1]
local torn = redis.call('XRANGE', JOURNAL, string.format('%.0f-0', sequence + 1), '+', 'COUNT', 1)
return { first and tonumber(string.match(first[1], '^%d+')) or sequence + 1, sequence + 1, now, string.byte(state, -1), #torn, next_expiry,
  math.max(rotated_at, older_reserved_until) }
