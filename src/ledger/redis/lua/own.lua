#!lua
-- Says in the state of a partition of which ledger it is: for stores that were made before ledgers had ids. ARGV: the ledger.
local state = redis.call('HGET', ACCOUNTS, '')
redis.call('HSET', ACCOUNTS, '', string.sub(state, 1, -10) .. ARGV[1] .. string.sub(state, -1))
