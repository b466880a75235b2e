-- What few commands touch: reservations, sums that were given back, profiles.

local legacy_until, refunds_dropped_until, reserved_until, older_reserved_until, of_ledger, is_read = unpack_struct(RARE_STATE_FORMAT, rare_state)
local stored_reserved_until = reserved_until

-- The command's columns that few commands have.
local original, detail

-- Of the reservations that were stored, when they expire: one that is due is open no more, but in the sets until it is swept away. What
-- cannot be read has the commands refused that need it.
local reservations, stored_until, stored_tail, moved, dirty_reservations = {}, {}, {}, {}, {}
local is_damaged = {}
-- Sums that were given back, by their fields: read when they are needed.
local refunds, dirty_refunds = {}, {}
local profiles, dirty_profiles = {}, {}
local dirty_requests = {}

-- Whether what is stored can be what is remembered of a command.
local function is_remembered(stored)
  if #stored < REMEMBERED_BYTES then return false end
  local of_kind, of_verdict, of_flags = byte(stored, 9, 11)
  return of_kind >= 1 and of_kind <= KINDS and of_verdict >= DONE and of_verdict <= UNCHANGED
    and (of_flags < HAS_CHARGED or #stored >= REMEMBERED_BYTES + 5)
end

-- Reads a number of places, of two bytes each, from the batch at the given offset.
local function places_at(at, count)
  local list = { unpack_struct(rep('<I2', count), batch, at) }
  list[count + 1] = nil
  return list
end

if reservation_count > 0 then
  local places, keys = places_at(held_at, reservation_count), {}
  for i = 1, reservation_count do keys[i] = request_keys[places[i]] end
  local stored = call('HMGET', RESERVATIONS, unpack(keys))
  for i = 1, reservation_count do
    local q = places[i]
    if stored[i] and not is_reservation(stored[i]) then
      is_damaged[q] = true
    elseif stored[i] then
      local amount, report_by, expires_at, at = unpack_struct(RESERVATION_FORMAT, stored[i])
      stored_until[q], stored_tail[q] = expires_at, sub(stored[i], at)
      if expires_at > now then reservations[q] = { amount, report_by, expires_at, stored_tail[q] } end
    end
  end
end
if profile_count > 0 then
  local places, ids = places_at(held_at + 2 * reservation_count, profile_count), {}
  for i = 1, profile_count do ids[i] = account_ids[places[i]] end
  local stored = call('HMGET', PROFILES, unpack(ids))
  for i = 1, profile_count do
    local packed = stored[i]
    if packed and #packed >= PROFILE_BYTES and #packed >= PROFILE_BYTES + unpack_struct('<I2', packed, PROFILE_BYTES - 1) then
      local threshold, created_at, place, at = unpack_struct(PROFILE_FORMAT, stored[i])
      profiles[places[i]] = { threshold, created_at, place, sub(stored[i], at), place }
    end
  end
end

-- Adds to the writes of what is remembered: only behind the point of no return.
note_requests = function()
  for q in pairs(dirty_requests) do
    request_writes[request_write_count + 1], request_writes[request_write_count + 2] = request_keys[q], requests[q]
    request_write_count = request_write_count + 2
  end
end

-- Writes what else has changed: only behind the point of no return.
write_held = function()
  if reserved_until ~= stored_reserved_until then
    rare_state = pack(RARE_STATE_FORMAT, legacy_until, refunds_dropped_until, reserved_until, older_reserved_until, of_ledger, is_read)
  end
  if next(dirty_reservations) then
    local put, put_count, gone_keys, gone_count = {}, 0, {}, 0
    local expiries, expiry_count, index, index_count, gone_index = {}, 0, {}, 0, {}
    for q in pairs(dirty_reservations) do
      local key, open = request_keys[q], reservations[q]
      if open then
        put[put_count + 1], put[put_count + 2] = key, pack(RESERVATION_FORMAT, open[1], open[2], open[3]) .. open[4]
        put_count = put_count + 2
        if moved[q] then
          expiries[expiry_count + 1], expiries[expiry_count + 2] = format('%.0f', open[3]), key
          expiry_count = expiry_count + 2
          if open[3] < next_expiry then next_expiry = open[3] end
        end
        if stored_until[q] ~= open[3] then
          local id = unpack_struct('<I2c0', open[4])
          index[index_count + 1], index[index_count + 2] = '0', reservation_place(id, open[3], key)
          index_count = index_count + 2
          if stored_until[q] then gone_index[#gone_index + 1] = reservation_place(id, stored_until[q], key) end
        end
      elseif stored_until[q] then
        gone_count = gone_count + 1
        gone_keys[gone_count] = key
        gone_index[#gone_index + 1] = reservation_place((unpack_struct('<I2c0', stored_tail[q])), stored_until[q], key)
      end
    end
    if put_count > 0 then call('HSET', RESERVATIONS, unpack(put)) end
    if expiry_count > 0 then call('ZADD', EXPIRIES, unpack(expiries)) end
    if index_count > 0 then call('ZADD', BY_ACCOUNT, unpack(index)) end
    if gone_count > 0 then
      call('HDEL', RESERVATIONS, unpack(gone_keys))
      call('ZREM', EXPIRIES, unpack(gone_keys))
    end
    if #gone_index > 0 then call('ZREM', BY_ACCOUNT, unpack(gone_index)) end
  end

  local writes, w = {}, 0
  for field in pairs(dirty_refunds) do
    writes[w + 1], writes[w + 2] = field, pack(REFUNDED_FORMAT, unpack(refunds[field]))
    w = w + 2
  end
  if w > 0 then call('HSET', REFUNDS, unpack(writes)) end

  for n in pairs(dirty_profiles) do
    -- The profile comes after its places: until it is written, it says which is the former.
    local profile = profiles[n]
    if profile[5] ~= profile[3] then
      if profile[5] ~= '' then call('ZREM', NAMES, profile[5]) end
      call('ZADD', NAMES, '0', profile[3])
    end
    call('HSET', PROFILES, account_ids[n], pack(PROFILE_FORMAT, profile[1], profile[2], #profile[3], profile[3]) .. profile[4])
  end
end
