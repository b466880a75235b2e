#!lua
-- Finishes a step that was torn, as src/ledger/redis/finish.rs has worked it out. ARGV: what the state must still say (the last entry, its
-- block, the ledger), and what it says after the step (the last entry, its block, the time, the earliest expiry and the latest that it made); how many
-- fields of accounts and how many other writes there are, and these; of the latter each has a command, the number of its key, how many
-- arguments follow, and these.
-- Returns whether the step was still torn so.
local call = redis.call
local before, previous, ledger, after, block, time, expiry, expires_until = struct.unpack('<i8c16c8i8c16i8i8i8', ARGV[1])
local state = { struct.unpack(STATE_FORMAT, call('HGET', ACCOUNTS, '')) }
if state[STATE_LEDGER] ~= ledger then return { err = 'OTHERSTORE the store is of another ledger' } end
if state[STATE_SEQUENCE] ~= before or state[STATE_LAST_BLOCK] ~= previous then return 0 end

-- This is the point of no return: below, as in a step, accounts and state are the last write. Until then the step is torn as it was, and
-- each of these may be done again.
local account_fields = tonumber(ARGV[2])
local at = 4 + account_fields
for _ = 1, tonumber(ARGV[3]) do
  local count = tonumber(ARGV[at + 2])
  call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, at + 2 + count))
  at = at + 3 + count
end
state[STATE_SEQUENCE], state[STATE_LAST_BLOCK] = after, block
state[STATE_NOW] = math.max(state[STATE_NOW], time)
state[STATE_NEXT_EXPIRY] = math.min(state[STATE_NEXT_EXPIRY], expiry)
state[STATE_RESERVED_UNTIL] = math.max(state[STATE_RESERVED_UNTIL], expires_until)
local writes = { unpack(ARGV, 4, 3 + account_fields) }
writes[account_fields + 1], writes[account_fields + 2] = '', struct.pack(STATE_FORMAT, unpack(state, 1, STATE_FIELDS))
call('HSET', ACCOUNTS, unpack(writes))
return 1
