-- The sweep of one partition: a bounded number of due events. Removes reservations that have expired, of whatever accounts, and
-- swaps the generations of request ids once the window is over, and that of all reservations of the older. It may run while Redis has no memory left, because it frees some.
--
-- It writes no entries, so no first write tells that it was torn. It needs none: each of its writes, in this order, is harmless without
-- those that follow, and done again by the next sweep. Older ids go before the state says that their key takes the younger ones; accounts
-- and state are one write, after which nothing that is due is counted any more (see records.lua); only then is it removed, from the set in
-- which the next sweep would find it last; and only then does the state say that nothing is due any more.
--
-- KEYS: as of a step. ARGV: now, how far ahead of Redis it may be, the window, and the ledger; the channel for changes. Returns whether there is more
-- to sweep, whether the changes could not be announced, and how many reservations were removed.

local now, max_ahead, window, ledger = unpack_struct('<i8i8i8c8', ARGV[1])
local state = call('HGET', ACCOUNTS, '')
if not state then return { err = 'EMPTYSTORE the store is empty' } end
local version, sequence, last_now, checked_at, next_expiry, rotated_at, has_older, watched_until, last_block, generation, legacy_until,
  refunds_dropped_until, reserved_until, older_reserved_until, of_ledger, is_read = unpack_struct(STATE_FORMAT, state)
if version ~= FORMAT_VERSION then return { err = 'BADSTORE unknown format version' } end
if of_ledger ~= ledger then return { err = 'OTHERSTORE the store is of another ledger' } end
if now < last_now then now = last_now end
-- What was consumed of a reservation is charged until a window after it has expired, so its id is needed until then.
local must_rotate = now >= math.max(rotated_at, older_reserved_until) + window
if next_expiry > now and not must_rotate then return { 0, 0, 0 } end

if max_ahead >= 0 then
  local time = call('TIME')
  local ahead = now - (time[1] * 1000 + floor(time[2] / 1000))
  if ahead > max_ahead then return { err = format('CLOCKAHEAD the clock of the sender is %.0f ms ahead', ahead) } end
  checked_at = now
end
-- A step that was torn is to be finished before anything else happens to its accounts.
if #call('XRANGE', JOURNAL, format('%.0f-0', sequence + 1), '+', 'COUNT', 1) > 0 then return { err = format(TORN_BEFORE, sequence + 1) } end

local due = next_expiry <= now and call('ZRANGEBYSCORE', EXPIRIES, '-inf', format('%.0f', now), 'LIMIT', 0, MAX_EXPIRIES) or {}
local reservations = #due > 0 and call('HMGET', RESERVATIONS, unpack(due)) or {}
local ids, places, count = {}, {}, 0
for i = 1, #due do
  if reservations[i] and is_reservation(reservations[i]) then
    local _, _, _, id = unpack_struct(RESERVATION_ID_FORMAT, reservations[i])
    if not places[id] then
      count = count + 1
      ids[count], places[id] = id, count
    end
  end
end

-- Each account loses all that it has due, so that its record says it with one number. Of accounts with much to lose, few have their turn.
local writes, changed, found = {}, {}, 0
local is_swept = {}
local stored = count > 0 and call('HMGET', ACCOUNTS, unpack(ids)) or {}
for i = 1, count do
  if found < MAX_EXPIRIES then
    local record = stored[i]
    is_swept[i] = not record or is_account(record)
    if record and is_swept[i] and is_due(record, now) then
      local packed, lost = without_due(ids[i], record, now)
      found = found + lost
      is_swept[i] = packed and true or false
      if packed then writes[#writes + 1], writes[#writes + 2] = ids[i], packed end
      if packed and lost > 0 then changed[#changed + 1] = ids[i] end
    end
  end
end
-- What cannot be read stays where it is, for those who mend it; but it is not looked at again by each sweep.
local gone, gone_places, seen = {}, {}, {}
for i = 1, #due do
  local packed = reservations[i]
  local is_readable = packed and is_reservation(packed)
  if not is_readable then
    seen[#seen + 1] = due[i]
  else
    local _, _, expires_at, id = unpack_struct(RESERVATION_ID_FORMAT, packed)
    local swept = is_swept[places[id]]
    if swept then
      gone[#gone + 1], gone_places[#gone_places + 1] = due[i], reservation_place(id, expires_at, due[i])
    end
    if swept ~= nil then seen[#seen + 1] = due[i] end
  end
end

local due_from = next_expiry
if next_expiry <= now and #seen == #due then
  next_expiry = tonumber(call('ZRANGE', EXPIRIES, #due, #due, 'WITHSCORES')[2])
end
if must_rotate then
  local younger, older = REQUESTS_0, REQUESTS_1
  if generation % 2 == 1 then younger, older = REQUESTS_1, REQUESTS_0 end
  has_older = call('HLEN', younger) > 1 and 1 or 0
  call('UNLINK', older)
  call('HSET', older, '', '')
  generation, rotated_at = generation + 1, now
  older_reserved_until, reserved_until = reserved_until, 0
end
-- The time of the partition is that of the last change that anybody can see.
if #changed > 0 or must_rotate then last_now = now end
local function state_with(expiry)
  return pack(STATE_FORMAT, FORMAT_VERSION, sequence, last_now, checked_at, expiry, rotated_at, has_older, watched_until, last_block,
    generation, legacy_until, refunds_dropped_until, reserved_until, older_reserved_until, of_ledger, is_read)
end
writes[#writes + 1], writes[#writes + 2] = '', state_with(#seen > 0 and due_from or next_expiry)
call('HSET', ACCOUNTS, unpack(writes))
if #gone > 0 then
  call('ZREM', BY_ACCOUNT, unpack(gone_places))
  call('HDEL', RESERVATIONS, unpack(gone))
end
if #seen > 0 then call('ZREM', EXPIRIES, unpack(seen)) end
if #seen > 0 and next_expiry ~= due_from then call('HSET', ACCOUNTS, '', state_with(next_expiry)) end

local is_unannounced = 0
if #changed > 0 and now < watched_until and type(redis.pcall('SPUBLISH', ARGV[2], cmsgpack.pack(changed))) == 'table' then
  is_unannounced = 1
end
return { next_expiry <= now and 1 or 0, is_unannounced, #gone }
