
-- Stored records, and how accounts lose what they have due. A step needs it seldom, so it stands where it is needed, and is made only there.

-- What expires, by account. In the set of reservations by account, an account's own stand in the order of their expiry, so what it has due
-- is found without a look at the rest. Its record says from when on (NEXT_EXPIRY) they are counted in what is reserved: none of those
-- expires earlier; and what expires earlier is counted no more, and only waits to be swept away. So to take off what is due is to write
-- one record, which can be done in any step; and the sweep, which removes it, may stop anywhere and begin again.

local function reservation_place(id, expires_at, key) return id .. '\0' .. pack('>i7', expires_at) .. key end

-- Whether what is stored can be the record of an account.
local function is_account(stored)
  if #stored ~= ACCOUNT_BYTES then return false end
  local status, mode, decimals, _, minor_digits = byte(stored, STATUS_AT, STATUS_AT + 4)
  return status >= ACTIVE and status <= CLOSED and (mode == PREPAID or mode == POSTPAID) and decimals <= 6 and minor_digits <= decimals
end

-- The same of a reservation: what it holds is of a reservation, and the id in it is whole.
local function is_reservation(stored)
  if #stored < RESERVATION_BYTES then return false end
  local amount, _, expires_at, id_bytes = unpack_struct('<i7i7i7I2', stored)
  return amount >= 0 and amount <= MAX_UNITS and expires_at > 0 and expires_at < NEVER and #stored >= RESERVATION_BYTES + id_bytes
end

local function is_due(stored, time) return (unpack_struct('<i7', stored, NEXT_EXPIRY_AT)) <= time end

-- Whether an account has a reservation due that is still counted: its record says it of the earliest, which may have ended otherwise.
local function has_due(id, stored, time)
  local first = '[' .. reservation_place(id, unpack_struct('<i7', stored, NEXT_EXPIRY_AT), '')
  local last = '[' .. reservation_place(id, time, rep('\255', 16))
  return #call('ZRANGEBYLEX', BY_ACCOUNT, first, last, 'LIMIT', 0, 1) > 0
end

-- The account's record without what it has due, and how many that were; nothing, if a record is damaged. There are at most as many as an
-- account may have open.
local function without_due(id, stored, time)
  local account = { unpack_struct(ACCOUNT_FORMAT, stored) }
  local first, last = '[' .. reservation_place(id, account[NEXT_EXPIRY], ''), '(' .. id .. '\1'
  local expiry_at, found, next_expiry = #id + 2, 0, nil
  while not next_expiry do
    local members = call('ZRANGEBYLEX', BY_ACCOUNT, first, last, 'LIMIT', 0, MAX_EXPIRIES)
    local keys, count = {}, 0
    for i = 1, #members do
      local expires_at = unpack_struct('>i7', members[i], expiry_at)
      if expires_at > time then
        next_expiry = expires_at
        break
      end
      count = count + 1
      keys[count] = sub(members[i], expiry_at + 7)
    end
    if count > 0 then
      local reservations = call('HMGET', RESERVATIONS, unpack(keys))
      for i = 1, count do
        if not reservations[i] or not is_reservation(reservations[i]) then return nil, found end
        account[RESERVED] = account[RESERVED] - unpack_struct('<i7', reservations[i])
      end
      found = found + count
      first = '(' .. members[count]
    end
    if #members < MAX_EXPIRIES then next_expiry = next_expiry or NEVER end
  end
  account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] - found
  account[NEXT_EXPIRY] = next_expiry
  if account[RESERVED] < 0 or account[OPEN_RESERVATIONS] < 0 then return nil, found end
  return pack(ACCOUNT_FORMAT, unpack(account, 1, ACCOUNT_FIELDS)), found
end
