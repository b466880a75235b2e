#!lua
-- Drops whole blocks of the journal below a sequence, but for the newest of them; and, of a slice of the sums that were given back, those
-- whose last entry lies below it, and is so old that no id is remembered by which the step could know the charge. A refund of that
-- later looks the sum up, where the entries were taken in. It runs, too, where Redis has no memory left: then it frees some.
--
-- The state says how far sums may have been dropped before any is, so that an error between the two only has a sum looked up that is here.
--
-- ARGV: the ledger, whether the caller has read what is below, the sequence, for how long a sum is kept at least, where the slice begins,
-- and how long it is. Returns where the next one begins.
local call = redis.call
local ledger, has_read, below, kept_for = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local state = call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
local fields = { struct.unpack(STATE_FORMAT, state) }
if fields[1] ~= FORMAT_VERSION then return { err = 'BADSTORE unknown format version' } end
if fields[STATE_LEDGER] ~= ledger then return { err = 'OTHERSTORE the store is of another ledger' } end
if fields[STATE_IS_READ] == 1 and not has_read then return { err = 'UNREAD a billing store reads the journal, and has not read this' } end

local kept = below > 1 and call('XREVRANGE', JOURNAL, string.format('(%.0f-0', below), '1-0', 'COUNT', 1)[1]
if kept then call('XTRIM', JOURNAL, 'MINID', kept[1]) end

local found = call('HSCAN', REFUNDS, ARGV[5], 'COUNT', ARGV[6])
local gone, dropped_until = {}, fields[STATE_REFUNDS_DROPPED_UNTIL]
for i = 1, #found[2], 2 do
  local record = found[2][i + 1]
  if #record == REFUNDED_BYTES then
    local _, _, sequence, time = struct.unpack(REFUNDED_FORMAT, record)
    if sequence < below and time <= fields[STATE_NOW] - kept_for then
      gone[#gone + 1] = found[2][i]
      dropped_until = math.max(dropped_until, sequence)
    end
  end
end
if #gone > 0 then
  fields[STATE_REFUNDS_DROPPED_UNTIL] = dropped_until
  call('HSET', ACCOUNTS, '', struct.pack(STATE_FORMAT, unpack(fields, 1, STATE_FIELDS)))
  for i = 1, #gone, 1000 do call('HDEL', REFUNDS, unpack(gone, i, math.min(i + 999, #gone))) end
end
return found[1]
