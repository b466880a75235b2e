#!lua flags=no-writes
-- Which part of its journal a partition still has: the sequence of the first entry that is kept, and that of the next one; the
-- partition's time; whether somebody reads the journal; and whether a step was torn, so that its block stands where the next entry goes. All
-- are looked at in one step, and the blocks, which may be large, are not sent.
-- ARGV: the ledger.
local state = redis.call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
local _, sequence, now = struct.unpack(STATE_FORMAT, state)
if string.sub(state, -9, -2) ~= ARGV[1] then return { err = 'OTHERSTORE the store is of another ledger' } end
local first = redis.call('XRANGE', JOURNAL, '1-0', '+', 'COUNT', 1)[1]
local torn = redis.call('XRANGE', JOURNAL, string.format('%.0f-0', sequence + 1), '+', 'COUNT', 1)
return { first and tonumber(string.match(first[1], '^%d+')) or sequence + 1, sequence + 1, now, string.byte(state, -1), #torn }
