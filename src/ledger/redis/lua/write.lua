-- ------------------------------------------------------------------- the point of no return: below are only writes that cannot fail

local account_writes, account_write_count = {}, 0
for n = 1, account_count do
  if dirty_accounts[n] then
    account_writes[account_write_count + 1], account_writes[account_write_count + 2] = account_ids[n], accounts[n]
    account_write_count = account_write_count + 2
    changed_count = changed_count + 1
    changed[changed_count] = account_ids[n]
  end
end
if account_write_count > 0 then state_now, is_state_dirty = now, true end

for q in pairs(dirty_requests) do
  request_writes[request_write_count + 1], request_writes[request_write_count + 2] = request_keys[q], requests[q]
  request_write_count = request_write_count + 2
end
if request_write_count > 0 then
  call('HSET', REQUESTS, unpack(request_writes))
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

local writes, w = {}, 0
for q in pairs(dirty_undone) do
  writes[w + 1], writes[w + 2] = request_keys[q], pack('<i8', undone[q])
  w = w + 2
end
if w > 0 then call('HSET', UNDONE, unpack(writes)) end

for n in pairs(dirty_profiles) do
  local profile = profiles[n]
  call('HSET', PROFILES, account_ids[n], pack(PROFILE_FORMAT, profile[1], profile[2], #profile[3], profile[3]) .. profile[4])
  if profile[5] ~= profile[3] then
    if profile[5] ~= '' then call('ZREM', NAMES, profile[5]) end
    call('ZADD', NAMES, '0', profile[3])
  end
end

if entry_count > 0 then
  -- What came with commands that left no entry is not kept.
  if idle_count > 0 then
    local kept, at = {}, 1
    for i = 1, command_count do
      local n, rest
      n, rest, at = unpack_struct(ENDING_FORMAT, endings, at)
      if idle[i] then rest = '' end
      kept[i] = pack(ENDING_FORMAT, n, #rest, rest)
    end
    endings = concat(kept)
  end
  local count = sequence - first_sequence + 1
  local header = pack(BLOCK_FORMAT, first_sequence, count, now, block_id, last_block, account_count, command_count)
  local packed = concat(entries, '', 1, entry_count)
  call('XADD', JOURNAL, format('%.0f-0', first_sequence), 'b', header .. ids .. endings .. packed)
  if run_count > 0 then out[3], out[4] = packed, concat(runs) end
  last_block = block_id
end

if is_state_dirty then
  local packed =
    pack(STATE_FORMAT, FORMAT_VERSION, sequence, state_now, checked_at, next_expiry, rotated_at, has_older, watched_until, last_block)
  account_writes[account_write_count + 1], account_writes[account_write_count + 2] = '', packed
  call('HSET', ACCOUNTS, unpack(account_writes))
end

if changed_count > 0 and now < watched_until then call('SPUBLISH', ARGV[4], cmsgpack.pack(changed)) end

return out
