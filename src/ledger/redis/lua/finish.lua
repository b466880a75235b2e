#!lua
-- Finishes a step that was torn, as src/ledger/redis/finish.rs has worked it out. ARGV: what the state must still say (the last entry, its
-- block), and what it says after the step (the last entry, its block, the time, the earliest expiry and the latest that it made); how many
-- fields of accounts and how many other writes there are, and these; of the latter each has a command, the number of its key, how many
-- arguments follow, and these.
-- Returns whether the step was still torn so.
local call, pack, unpack_struct = redis.call, struct.pack, struct.unpack
local before, previous, after, block, time, expiry, expires_until = unpack_struct('<i8c16i8c16i8i8i8', ARGV[1])
local version, sequence, last_now, checked_at, next_expiry, rotated_at, has_older, watched_until, last_block, generation, legacy_until,
  refunds_dropped_until, reserved_until, older_reserved_until = unpack_struct(STATE_FORMAT, call('HGET', ACCOUNTS, ''))
if version ~= FORMAT_VERSION or sequence ~= before or last_block ~= previous then return 0 end

-- This is the point of no return: below, as in a step, accounts and state are the last write. Until then the step is torn as it was, and
-- each of these may be done again.
local account_fields = tonumber(ARGV[2])
local at = 4 + account_fields
for _ = 1, tonumber(ARGV[3]) do
  local count = tonumber(ARGV[at + 2])
  call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, at + 2 + count))
  at = at + 3 + count
end
local writes = { unpack(ARGV, 4, 3 + account_fields) }
writes[account_fields + 1], writes[account_fields + 2] = '',
  pack(STATE_FORMAT, FORMAT_VERSION, after, math.max(last_now, time), checked_at, math.min(next_expiry, expiry), rotated_at, has_older,
    watched_until, block, generation, legacy_until, refunds_dropped_until, math.max(reserved_until, expires_until), older_reserved_until)
call('HSET', ACCOUNTS, unpack(writes))
return 1
