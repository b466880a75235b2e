#!lua
-- Brings a partition from format version 2 to this one, slice by slice: each may be done again. ARGV: what is to be done, from where on, and
-- until when fingerprints of version 2 may be remembered. Returns what is next.
local call, phase, cursor = redis.call, ARGV[1], ARGV[2]
local state = call('HGET', ACCOUNTS, '')
if struct.unpack('<I4', state) == FORMAT_VERSION then
  -- All that may be left to do.
  call('UNLINK', KEYS[13])
  return { 'done', '0' }
end
if phase == 'keys' then
  -- No version: neither a service of the old one nor one of this can take a step meanwhile.
  call('HSET', ACCOUNTS, '', struct.pack('<I4', 0) .. string.sub(state, 5))
  if call('EXISTS', KEYS[11]) == 1 then call('RENAME', KEYS[11], REQUESTS_0) end
  if call('EXISTS', KEYS[12]) == 1 then call('RENAME', KEYS[12], REQUESTS_1) end
  call('HSET', REFUNDS, '', '')
  return { 'accounts', '0' }
elseif phase == 'accounts' then
  local found = call('HSCAN', ACCOUNTS, cursor, 'COUNT', 500)
  for i = 1, #found[2], 2 do
    local id, record = found[2][i], found[2][i + 1]
    if id ~= '' and #record == ACCOUNT_BYTES - 7 then call('HSET', ACCOUNTS, id, record .. string.rep('\0', 7)) end
  end
  return found[1] == '0' and { 'reservations', '0' } or { phase, found[1] }
elseif phase == 'reservations' then
  local found = call('HSCAN', RESERVATIONS, cursor, 'COUNT', 500)
  for i = 1, #found[2], 2 do
    local key, record = found[2][i], found[2][i + 1]
    if #record >= RESERVATION_BYTES then
      local _, _, expires_at, id = struct.unpack(RESERVATION_ID_FORMAT, record)
      call('ZADD', BY_ACCOUNT, '0', id .. '\0' .. struct.pack('>i7', expires_at) .. key)
      call('ZREM', BY_ACCOUNT, id .. '\0' .. key)
    end
  end
  return found[1] == '0' and { 'state', '0' } or { phase, found[1] }
end
-- What was given back was kept by request id. By sequence, it is only known to the billing store: until here, that is asked.
local _, sequence, now = struct.unpack('<I4i8i8', state)
local dropped_until = call('HLEN', KEYS[13]) > 1 and sequence or 0
-- Until when reservations are open that any id is needed for. The last of the expiries is the sentinel.
local last = call('ZRANGE', EXPIRIES, -2, -2, 'WITHSCORES')[2]
local reserved_until = math.max(now, tonumber(last or 0))
call('HSET', ACCOUNTS, '',
  struct.pack('<I4', FORMAT_VERSION) .. string.sub(state, 5)
    .. struct.pack('<I4i8i8i8i8c8B', 0, tonumber(ARGV[3]), dropped_until, reserved_until, reserved_until, string.rep('\0', 8), 0))
call('UNLINK', KEYS[13])
return { 'done', '0' }
