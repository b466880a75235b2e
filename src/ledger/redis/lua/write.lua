-- ------------------------------------------------------------------- the point of no return: below are only writes that cannot fail

local writes, w = {}, 0
for n in pairs(dirty_accounts) do
  writes[w + 1], writes[w + 2] = account_ids[n], accounts[n]
  w = w + 2
  changed_count = changed_count + 1
  changed[changed_count] = account_ids[n]
end
if w > 0 then
  call('HSET', ACCOUNTS, unpack(writes))
  state_now, is_state_dirty = now, true
end

writes, w = {}, 0
for q in pairs(dirty_requests) do
  writes[w + 1], writes[w + 2] = request_keys[q], requests[q]
  w = w + 2
end
if w > 0 then
  call('HSET', REQUESTS, unpack(writes))
  state_now, is_state_dirty = now, true
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
      if not was_open[q] then
        local id = unpack_struct('<I2c0', open[4])
        index[index_count + 1], index[index_count + 2] = '0', id .. '\0' .. key
        index_count = index_count + 2
      end
    elseif was_open[q] then
      gone_count = gone_count + 1
      gone_keys[gone_count], gone_index[gone_count] = key, (unpack_struct('<I2c0', was_open[q])) .. '\0' .. key
    end
  end
  if put_count > 0 then call('HSET', RESERVATIONS, unpack(put)) end
  if expiry_count > 0 then call('ZADD', EXPIRIES, unpack(expiries)) end
  if index_count > 0 then call('ZADD', BY_ACCOUNT, unpack(index)) end
  if gone_count > 0 then
    call('HDEL', RESERVATIONS, unpack(gone_keys))
    call('ZREM', EXPIRIES, unpack(gone_keys))
    call('ZREM', BY_ACCOUNT, unpack(gone_index))
  end
end

writes, w = {}, 0
for q in pairs(dirty_undone) do
  writes[w + 1], writes[w + 2] = request_keys[q], pack('<i8', undone[q])
  w = w + 2
end
if w > 0 then call('HSET', UNDONE, unpack(writes)) end

for n in pairs(dirty_profiles) do
  local profile = profiles[n]
  call('HSET', PROFILES, account_ids[n], pack('<i8i8I2c0', profile[1], profile[2], #profile[3], profile[3]) .. profile[4])
  if profile[5] ~= profile[3] then
    if profile[5] ~= '' then call('ZREM', NAMES, profile[5]) end
    call('ZADD', NAMES, '0', profile[3])
  end
end

if entry_count > 0 then
  local count = sequence - first_sequence + 1
  entries[0] = pack(BLOCK_FORMAT, first_sequence, count, now, block_id, last_block)
  call('XADD', JOURNAL, format('%.0f-0', first_sequence), 'b', concat(entries, '', 0, entry_count))
  last_block = block_id
end

if is_state_dirty then
  call('SET', STATE, pack(STATE_FORMAT, FORMAT_VERSION, sequence, state_now, next_expiry, rotated_at, watched_until, last_block))
end

if changed_count > 0 and now < watched_until then call('SPUBLISH', ARGV[2], cmsgpack.pack(changed)) end

return out
