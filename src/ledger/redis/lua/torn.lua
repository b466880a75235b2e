#!lua flags=no-writes
-- The step that was torn: what the state says (the last entry, its block, the generation of request ids), how many blocks the journal has
-- behind that (never more than one, but two show that it is no torn step), and the fields of the first of them. Nothing: no step was torn.
-- ARGV: the ledger.
local stored = redis.call('HGET', ACCOUNTS, '')
if not stored then return { err = 'EMPTYSTORE the store is empty' } end
local state = { struct.unpack(STATE_FORMAT, stored) }
if state[STATE_LEDGER] ~= ARGV[1] then return { err = 'OTHERSTORE the store is of another ledger' } end
local sequence = state[STATE_SEQUENCE]
local behind = redis.call('XRANGE', JOURNAL, string.format('%.0f-0', sequence + 1), '+', 'COUNT', 2)
if #behind == 0 then return false end
return { sequence, state[STATE_LAST_BLOCK], state[STATE_GENERATION], #behind, behind[1][2] }
