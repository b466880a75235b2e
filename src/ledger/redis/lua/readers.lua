#!lua
-- Says in the state of a partition whether somebody reads its journal: then nothing is dropped of it that was not read. ARGV: the ledger,
-- and 1 or 0.
local state = redis.call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
if string.sub(state, -9, -2) ~= ARGV[1] then return { err = 'OTHERSTORE the store is of another ledger' } end
redis.call('HSET', ACCOUNTS, '', string.sub(state, 1, -2) .. string.char(tonumber(ARGV[2])))
return 1
