#!lua flags=no-writes
-- The step that was torn: what the state says (the last entry, its block, the generation of request ids), how many blocks the journal has
-- behind that (never more than one, but two show that it is no torn step), and the fields of the first of them. Nothing: no step was torn.
local state = redis.call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
local _, sequence, _, _, _, _, _, _, last_block, generation = struct.unpack(STATE_FORMAT, state)
local behind = redis.call('XRANGE', JOURNAL, string.format('%.0f-0', sequence + 1), '+', 'COUNT', 2)
if #behind == 0 then return false end
return { sequence, last_block, generation, #behind, behind[1][2] }
