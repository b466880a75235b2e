#!lua
-- Makes the keys of a partition, if there are none: each with a sentinel, so that all of them exist for ever. That of the accounts is the
-- state of the partition. ARGV: the ledger.
if redis.call('EXISTS', ACCOUNTS) == 1 then return 0 end
for _, key in ipairs({ PROFILES, RESERVATIONS, REQUESTS_0, REQUESTS_1, REFUNDS }) do
  redis.call('HSET', key, '', '')
end
redis.call('ZADD', EXPIRIES, string.format('%.0f', NEVER), '')
redis.call('ZADD', BY_ACCOUNT, '0', '')
redis.call('ZADD', NAMES, '0', '')
redis.call('XADD', JOURNAL, '0-1', 'genesis', '')
redis.call('HSET', ACCOUNTS, '', struct.pack(STATE_FORMAT, FORMAT_VERSION, 0, 0, 0, NEVER, 0, 0, 0, string.rep('\0', 16), 0, 0, 0, 0, 0,
  ARGV[1], 0))
return 1
