-- A step with entries finds one that was torn by its block. One without, which remembers a decline or repeats an answer, looks: what it
-- tells of might be undone by half. Who only asks for credit is shown it as it is stored, and what is due stays there.
if entry_count == 0 and (is_deciding or taken_off > 0) and #call('XRANGE', JOURNAL, format('%.0f-0', first_sequence), '+', 'COUNT', 1) > 0 then
  if is_deciding then return { err = format(TORN_BEFORE, first_sequence) } end
  return out
end

-- A batch that only reads, because Redis has no memory left, is done.
if IS_READING then return out end

if entry_count > 0 then
  -- What came with commands that left no entry is not kept.
  if idle then
    local kept, at = {}, 1
    for i = 1, command_count do
      local n, payload
      n, payload, at = unpack_struct(METADATA_FORMAT, metadata, at)
      if idle[i] then payload = '' end
      kept[i] = pack(METADATA_FORMAT, n, #payload, payload)
    end
    metadata = concat(kept)
  end
  local count = sequence - first_sequence + 1
  local header = pack(BLOCK_FORMAT, first_sequence, count, now, block_id, last_block, account_count, command_count)
  local packed = concat(entries, '', 1, entry_count)
  -- The block is the point of no return: below are only writes that cannot fail. The journal takes no id below its last one; where it has
  -- this one already, a step was torn behind its first write, and nothing more is written. The values of the fields are the block, one
  -- after another.
  local id = format('%.0f-0', first_sequence)
  local added = redis.pcall('XADD', JOURNAL, id, 'h', header, 'a', ids, 'c', metadata, 'e', packed)
  if added.err and find(added.err, 'equal or smaller', 1, true) then
    return { err = format(TORN_BEFORE, first_sequence) }
  elseif added.err then
    return added
  end
  out[4], out[5] = sequence, packed
  if run_count > 0 then out[6] = pack(rep('<I2', run_count), unpack(run_lengths)) .. concat(runs) end
  last_block = block_id
end

-- The state is the last of the writes, because it says how far the journal reaches. Without entries there is nothing to tear: remembered
-- declines, each of which is complete, and one write of accounts and state. What is remembered is the first, because it is what a
-- block does not tell as a whole: so a step that is torn behind it is finished without a loss (see src/ledger/redis/finish.rs).

local account_writes, account_write_count = {}, 0
for n = 1, account_count do
  if dirty_accounts[n] then
    account_writes[account_write_count + 1], account_writes[account_write_count + 2] = account_ids[n], accounts[n]
    account_write_count = account_write_count + 2
  end
end
if account_write_count > 0 then is_state_dirty = true end
if entry_count > 0 then state_now = now end

if write_held then note_requests() end
if request_write_count > 0 then
  call('HSET', younger_requests, unpack(request_writes))
  state_now, is_state_dirty = now, true
end
if write_held then write_held() end

-- WAIT proves what its connection has written last: where an answer is to be proved (ARGV[6]) that was decided before, something is.
if is_deciding and not is_state_dirty and ARGV[6] == '1' then is_state_dirty = true end

if is_state_dirty then
  local packed =
    pack(STEP_STATE_FORMAT, FORMAT_VERSION, sequence, state_now, checked_at, next_expiry, rotated_at, has_older, watched_until, last_block,
      generation, rare_state)
  account_writes[account_write_count + 1], account_writes[account_write_count + 2] = '', packed
  call('HSET', ACCOUNTS, unpack(account_writes))
end

if now < watched_until and ARGV[4] ~= '' then
  local changed = {}
  for n = 1, account_count do
    if dirty_accounts[n] then changed[#changed + 1] = account_ids[n] end
  end
  -- A user that may not publish is one whose watchers look for themselves; what was decided stands.
  if #changed > 0 then
    local receivers = redis.pcall('SPUBLISH', ARGV[4], cmsgpack.pack(changed))
    out[1] = out[1] + (type(receivers) == 'table' and 1 or 4 + 8 * receivers)
  end
end

return out
