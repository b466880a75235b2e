#!lua
-- Writes the state of a partition as it is: WAIT proves what its connection has written last, and so all that was written before.
-- ARGV: the ledger.
local state = redis.call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
if string.sub(state, -9, -2) ~= ARGV[1] then return { err = 'OTHERSTORE the store is of another ledger' } end
redis.call('HSET', ACCOUNTS, '', state)
return 1
