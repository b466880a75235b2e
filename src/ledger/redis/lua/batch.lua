#!lua
-- One step of one partition: a batch of commands of any kind, decided in order, each seeing the one before.
--
-- The rules are those of src/domain/rules; names, order of checks and numbers are the same, and a property test holds the two
-- against each other. Everything is loaded in a few calls, decided in tables, and written in a few calls behind the marked point of
-- no return: a script is isolated, but not rolled back.
--
-- KEYS: see src/ledger/redis/keys.rs. ARGV: the batch as MessagePack (see src/ledger/redis/batch.rs), and the channel for changes.
-- Answers a flat array: whether the batch must be sent again, then for each command a code (0: decided, 1: decided before, else a
-- refusal), the remembered decision, the account. All amounts are integers below 2^53, which doubles hold exactly.

-- Names in capitals are constants, and keys: src/ledger/redis/script.rs puts in their values, most of them from the Rust types that
-- they belong to. So the two cannot differ, no name is looked up, and Lua's limit of 200 locals is far away.

local call, pack, unpack_struct, unpack, format, sub, byte, char, floor, concat =
  redis.call, struct.pack, struct.unpack, unpack, string.format, string.sub, string.byte, string.char, math.floor, table.concat

local powers = { [0] = 1, 10, 100, 1000, 10000, 100000, 1000000 }

-- An account is kept as the array that unpacking gives: one call, and no hashing.

-- ---------------------------------------------------------------------------------------------------------------- the batch

local batch = cmsgpack.unpack(ARGV[1])
local now, max_ahead, this_period_end, next_period_end, window, block_id =
  batch[1], batch[2], batch[3], batch[4], batch[5], batch[6]
local account_ids, request_keys, reservation_requests, undone_requests, profile_accounts, commands =
  batch[7], batch[8], batch[9], batch[10], batch[11], batch[12]

if max_ahead >= 0 then
  local time = call('TIME')
  local ahead = now - (time[1] * 1000 + floor(time[2] / 1000))
  if ahead > max_ahead then return { err = format('CLOCKAHEAD the clock of the sender is %.0f ms ahead', ahead) } end
end

local version, sequence, last_now, next_expiry, rotated_at, watched_until, last_block = unpack_struct(STATE_FORMAT, call('GET', STATE))
if version ~= FORMAT_VERSION then return { err = 'BADSTORE unknown format version' } end
if now < last_now then now = last_now end
local period_end = this_period_end
if period_end <= now then period_end = next_period_end end
local first_sequence, state_now, is_state_dirty = sequence + 1, last_now, false
local changed, changed_count = {}, 0

-- ------------------------------------------------------------------------- what is due in the partition, each step whole by itself

-- The older ids go, the younger ones become the older. Freed before the rename, which would free them in place; nothing in them is
-- needed any more, so whatever happens in between is harmless.
if now - rotated_at >= window then
  call('UNLINK', OLDER_REQUESTS)
  call('RENAME', REQUESTS, OLDER_REQUESTS)
  call('HSET', REQUESTS, '', '')
  rotated_at, state_now, is_state_dirty = now, now, true
end

local must_repeat = 0
if next_expiry <= now then
  local due = call('ZRANGEBYSCORE', EXPIRIES, '-inf', format('%.0f', now), 'LIMIT', 0, MAX_EXPIRIES)
  if #due > 0 then
    local packed = call('HMGET', RESERVATIONS, unpack(due))
    local ids, accounts, places, count = {}, {}, {}, 0
    local index, index_count = {}, 0
    for i = 1, #due do
      if packed[i] then
        local amount, _, _, id = unpack_struct('<i8i8i8I2c0', packed[i])
        if not places[id] then
          count = count + 1
          ids[count], places[id] = id, { 0, 0 }
        end
        local place = places[id]
        place[1], place[2] = place[1] + amount, place[2] + 1
        index_count = index_count + 1
        index[index_count] = id .. '\0' .. due[i]
      end
    end
    local writes, w = {}, 0
    if count > 0 then
      local stored = call('HMGET', ACCOUNTS, unpack(ids))
      for i = 1, count do
        if stored[i] then
          local account = { unpack_struct(ACCOUNT_FORMAT, stored[i]) }
          account[RESERVED] = account[RESERVED] - places[ids[i]][1]
          account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] - places[ids[i]][2]
          writes[w + 1], writes[w + 2] = ids[i], pack(ACCOUNT_FORMAT, unpack(account, 1, ACCOUNT_FIELDS))
          w = w + 2
          changed_count = changed_count + 1
          changed[changed_count] = ids[i]
        end
      end
    end
    if w > 0 then call('HSET', ACCOUNTS, unpack(writes)) end
    call('HDEL', RESERVATIONS, unpack(due))
    call('ZREM', EXPIRIES, unpack(due))
    if index_count > 0 then call('ZREM', BY_ACCOUNT, unpack(index)) end
    state_now, is_state_dirty = now, true
  end
  next_expiry = tonumber(call('ZRANGE', EXPIRIES, 0, 0, 'WITHSCORES')[2])
  if next_expiry <= now then must_repeat = 1 end
end

-- ----------------------------------------------------------------------------------------------- load all that the batch touches

local accounts, stored_accounts, dirty_accounts = {}, {}, {}
local requests, dirty_requests = {}, {}
local reservations, was_open, moved, dirty_reservations = {}, {}, {}, {}
local undone, dirty_undone = {}, {}
local profiles, dirty_profiles = {}, {}
local entries, entry_count = {}, 0
local out = { must_repeat }
local command_count = #commands / COLUMNS

if must_repeat == 1 then
  command_count = 0
elseif command_count > 0 then
  stored_accounts = call('HMGET', ACCOUNTS, unpack(account_ids))
  for i = 1, #account_ids do
    local stored = stored_accounts[i]
    accounts[i] = stored and { unpack_struct(ACCOUNT_FORMAT, stored) }
  end
  if #request_keys > 0 then
    requests = call('HMGET', REQUESTS, unpack(request_keys))
    local older = call('HMGET', OLDER_REQUESTS, unpack(request_keys))
    for i = 1, #request_keys do
      if not requests[i] then requests[i] = older[i] end
    end
  end
  if #reservation_requests > 0 then
    local keys = {}
    for i = 1, #reservation_requests do keys[i] = request_keys[reservation_requests[i]] end
    local stored = call('HMGET', RESERVATIONS, unpack(keys))
    for i = 1, #reservation_requests do
      if stored[i] then
        local amount, report_by, expires_at, at = unpack_struct(RESERVATION_FORMAT, stored[i])
        local q = reservation_requests[i]
        reservations[q] = { amount, report_by, expires_at, sub(stored[i], at) }
        was_open[q] = reservations[q][4]
      end
    end
  end
  if #undone_requests > 0 then
    local keys = {}
    for i = 1, #undone_requests do keys[i] = request_keys[undone_requests[i]] end
    local stored = call('HMGET', UNDONE, unpack(keys))
    for i = 1, #undone_requests do
      undone[undone_requests[i]] = stored[i] and unpack_struct('<i8', stored[i]) or 0
    end
  end
  if #profile_accounts > 0 then
    local ids = {}
    for i = 1, #profile_accounts do ids[i] = account_ids[profile_accounts[i]] end
    local stored = call('HMGET', PROFILES, unpack(ids))
    for i = 1, #profile_accounts do
      if stored[i] then
        local threshold, created_at, place, at = unpack_struct('<i8i8I2c0', stored[i])
        profiles[profile_accounts[i]] = { threshold, created_at, place, sub(stored[i], at), place }
      end
    end
  end
end

-- ------------------------------------------------------------------------------------------------------------- formulas, helpers

local function credit_limit(account)
  local limit = account[PERMANENT]
  if now < account[TEMPORARY_UNTIL] and account[TEMPORARY] > limit then return account[TEMPORARY] end
  return limit
end

local function usable_of(account, balance, unbilled, reserved)
  if account[MODE] == PREPAID then return balance + credit_limit(account) - reserved end
  if balance < 0 then balance = 0 end
  return credit_limit(account) + balance - unbilled - reserved
end

local function usable(account) return usable_of(account, account[BALANCE], account[UNBILLED], account[RESERVED]) end

-- An amount as sent, in units; else nothing, and why.
local function units(mantissa, scale, decimals)
  local shift = decimals - scale
  if shift < 0 then return nil, TOO_MANY_DECIMALS end
  local amount = mantissa * powers[shift]
  if amount > MAX_UNITS or amount < -MAX_UNITS then return nil, AMOUNT_OUT_OF_RANGE end
  return amount
end

local function round_half_up(amount, account)
  local step = powers[account[DECIMALS] - account[MINOR_DIGITS]]
  local remainder = amount % step
  if remainder * 2 >= step and remainder ~= 0 then return amount - remainder + step end
  return amount - remainder
end

local function within(amount) return amount <= MAX_COMMANDED_UNITS and amount >= -MAX_COMMANDED_UNITS end

local function is_within_range(balance, unbilled, reserved)
  return within(balance) and within(unbilled) and within(reserved) and within(balance - unbilled)
end

local moves_money = {
  [CHARGED_BALANCE] = true, [CHARGED_UNBILLED] = true, [CHARGED_OWN_BILL] = true, [REFUNDED_BALANCE] = true,
  [REFUNDED_UNBILLED] = true, [TOPPED_UP] = true, [PAYMENT_REVERSED] = true, [WITHDRAWN] = true, [ADJUSTED] = true,
  [PERIOD_CLOSED] = true, [FINAL_BILLED] = true, [ROUNDED] = true,
}

-- Numbers an entry, and appends it.
local function push(kind, account, n, bill, time, amount, balance, detail, second_detail, rest)
  sequence = sequence + 1
  local own = 0
  if moves_money[kind] then
    own = account[SEQUENCE] + 1
    account[SEQUENCE] = own
  end
  local id = account_ids[n]
  entries[entry_count + 1] = pack(ENTRY_FORMAT, kind, account[MODE], bill, own, time, amount, balance, account[UNBILLED],
    account[RESERVED], detail, second_detail, #id, #rest)
  entries[entry_count + 2], entries[entry_count + 3] = id, rest
  entry_count = entry_count + 3
end

-- Records an entry of the command in the open bill. The account must already be as it is after it.
local function record(kind, account, n, j, amount, detail, second_detail)
  if moves_money[kind] and account[PERIOD_END] == 0 then account[PERIOD_END] = period_end end
  push(kind, account, n, account[OPEN_BILL], now, amount, account[BALANCE], detail, second_detail, commands[j + REST])
end

-- Cuts the open bill: what is unbilled moves to the balance, and the sum is rounded to the minor unit by an entry of its own.
local function cut_bill(kind, account, n, time, rest)
  local bill, billed = account[OPEN_BILL], account[UNBILLED]
  local rounding = billed - round_half_up(billed, account)
  account[BALANCE] = account[BALANCE] + rounding - billed
  account[UNBILLED] = 0
  account[LAST_BILL] = account[LAST_BILL] + 1
  account[OPEN_BILL] = account[LAST_BILL]
  account[PERIOD_END] = 0
  push(kind, account, n, bill, time, billed, account[BALANCE] - rounding, 0, 0, rest)
  if rounding ~= 0 then push(ROUNDED, account, n, bill, time, rounding, account[BALANCE], 0, 0, rest) end
end

-- The decision that is being made. A handler sets it, and answers a refusal or nothing.
local verdict, amount_decided, overdraft, flags, slot_amount, slot_report_by, slot_expires_at

local function decide(new_verdict, amount) verdict, amount_decided = new_verdict, amount end

local function show_reservation(amount, report_by, expires_at, more_flags)
  flags = flags + HAS_RESERVATION + more_flags
  slot_amount, slot_report_by, slot_expires_at = amount, report_by, expires_at
end

-- All of an amount, or what there is down to the minimum (-1: all or nothing); else nothing, and what is missing.
local function grant(amount, minimum, usable_credit)
  if usable_credit >= amount then return amount end
  if minimum >= 0 then
    if usable_credit >= minimum then return usable_credit end
    return nil, minimum - usable_credit
  end
  return nil, amount - usable_credit
end

local function put_reservation(q, amount, report_by, expires_at, tail)
  reservations[q] = { amount, report_by, expires_at, tail }
  dirty_reservations[q], moved[q] = true, true
end

-- The request that made a reservation remembers how it ended; marking it also makes it young again.
local function mark_ended(q, ended)
  local remembered = requests[q]
  if remembered and byte(remembered, 12) ~= ended then
    requests[q] = sub(remembered, 1, 11) .. char(ended) .. sub(remembered, 13)
    dirty_requests[q] = true
  end
end

local function end_reservation(q, ended)
  reservations[q] = nil
  dirty_reservations[q] = true
  mark_ended(q, ended)
end

-- Why there is no open reservation of that name.
local function gone(q)
  local remembered = requests[q]
  if not remembered or byte(remembered, 9) ~= AUTHORIZE or byte(remembered, 10) ~= DONE then return RESERVATION_NOT_FOUND end
  local ended = byte(remembered, 12)
  if ended == SETTLED then return RESERVATION_SETTLED end
  if ended == RELEASED then return RESERVATION_RELEASED end
  return RESERVATION_EXPIRED
end

-- Amount and minimum (-1: none) to reserve, in units; else nothing, nothing, and why.
local function wanted(reserve, decimals)
  local amount, refused = units(reserve[1], reserve[2], decimals)
  if refused then return nil, nil, refused end
  if reserve[4] < 0 then return amount, -1 end
  local minimum
  minimum, refused = units(reserve[3], reserve[4], decimals)
  if refused then return nil, nil, refused end
  return amount, minimum
end

-- ------------------------------------------------------------------------------------------------------ what a transaction asks

local handlers = {}

handlers[AUTHORIZE] = function(account, n, j)
  local reserve = commands[j + EXTRA]
  local amount, minimum, refused = wanted(reserve, account[DECIMALS])
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if account[STATUS] == SUSPENDED then return ACCOUNT_SUSPENDED end
  if account[OPEN_RESERVATIONS] >= MAX_OPEN_RESERVATIONS then return TOO_MANY_RESERVATIONS end
  local granted, shortfall = grant(amount, minimum, usable(account))
  if not granted then return decide(DECLINED, shortfall) end
  if not is_within_range(account[BALANCE], account[UNBILLED], account[RESERVED] + granted) then return BALANCE_OUT_OF_RANGE end
  account[RESERVED] = account[RESERVED] + granted
  account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] + 1
  local report_by, expires_at = now + reserve[5], now + reserve[6]
  record(WAS_RESERVED, account, n, j, granted, report_by, expires_at)
  put_reservation(commands[j + REQUEST], granted, report_by, expires_at, reserve[7])
  decide(DONE, granted)
  show_reservation(granted, report_by, expires_at, granted < amount and FINAL_UNIT or 0)
end

handlers[DEBIT] = function(account, n, j)
  local decimals, option, q = account[DECIMALS], commands[j + OPTION], commands[j + ORIGINAL]
  local amount, refused = units(commands[j + MANTISSA], commands[j + SCALE], decimals)
  if refused then return refused end
  local category, is_consumed, afterwards = floor(option / 100), floor(option / 10) % 10 == 2, option % 10
  local reserve, next_amount, next_minimum
  if afterwards == 2 then
    reserve = commands[j + EXTRA]
    next_amount, next_minimum, refused = wanted(reserve, decimals)
    if refused then return refused end
  end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if q == 0 and not is_consumed and account[STATUS] == SUSPENDED then return ACCOUNT_SUSPENDED end
  local open = q > 0 and reservations[q]
  if q > 0 and not open then
    local reason = gone(q)
    if not is_consumed or reason == RESERVATION_NOT_FOUND then return reason end
  end
  local held = open and open[1] or 0
  local is_own_bill = account[MODE] == POSTPAID and account[NON_USAGE] == ONE_BY_ONE and category ~= USAGE
  local price, rounding = amount, 0
  if is_own_bill then
    local rounded = round_half_up(amount, account)
    rounding = amount - rounded
    if rounded > price then price = rounded end
  end
  local excess = price - held
  local over = 0
  if excess > 0 then
    local usable_credit = usable(account)
    if usable_credit < excess then
      if not is_consumed then return decide(DECLINED, excess - usable_credit) end
      over = excess
      if usable_credit > 0 then over = excess - usable_credit end
    end
  end

  local kept = held - amount
  if kept < 0 then kept = 0 end
  local keeps = open and afterwards == 1
  local balance, unbilled, reserved = account[BALANCE], account[UNBILLED], account[RESERVED] - held
  if keeps then reserved = reserved + kept end
  if is_own_bill then
    balance = balance - amount + rounding
  elseif account[MODE] == POSTPAID then
    unbilled = unbilled + amount
  else
    balance = balance - amount
  end
  if not is_within_range(balance, unbilled, reserved) then return BALANCE_OUT_OF_RANGE end
  local granted, shortfall
  if reserve and account[STATUS] ~= SUSPENDED then
    granted, shortfall = grant(next_amount, next_minimum, usable_of(account, balance, unbilled, reserved))
    if granted and not is_within_range(balance, unbilled, reserved + granted) then return BALANCE_OUT_OF_RANGE end
  end

  account[BALANCE], account[UNBILLED], account[RESERVED] = balance, unbilled, reserved
  if open and not keeps then account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] - 1 end
  local left = keeps and kept or -1
  if is_own_bill then
    account[LAST_BILL] = account[LAST_BILL] + 1
    local bill, rest = account[LAST_BILL], commands[j + REST]
    push(CHARGED_OWN_BILL, account, n, bill, now, amount, balance - rounding, left, over, rest)
    if rounding ~= 0 then push(ROUNDED, account, n, bill, now, rounding, balance, 0, 0, rest) end
  else
    record(account[MODE] == POSTPAID and CHARGED_UNBILLED or CHARGED_BALANCE, account, n, j, amount, left, over)
  end
  decide(DONE, amount)
  overdraft = over
  if keeps then
    reservations[q] = { kept, open[2], open[3], open[4] }
    dirty_reservations[q] = true
    mark_ended(q, 0)
    show_reservation(kept, open[2], open[3], 0)
  elseif reserve then
    if granted then
      account[RESERVED] = reserved + granted
      account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] + 1
      local report_by, expires_at = now + reserve[5], now + reserve[6]
      record(EXTENDED, account, n, j, granted, report_by, expires_at)
      put_reservation(q, granted, report_by, expires_at, reserve[7])
      mark_ended(q, 0)
      show_reservation(granted, report_by, expires_at, RESERVE_GRANTED + (granted < next_amount and FINAL_UNIT or 0))
    else
      end_reservation(q, SETTLED)
      if shortfall then
        flags, slot_amount = flags + RESERVE_DECLINED, shortfall
      else
        flags = flags + RESERVE_SUSPENDED
      end
    end
  elseif open then
    end_reservation(q, SETTLED)
  end
end

handlers[RELEASE] = function(account, n, j)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local q = commands[j + ORIGINAL]
  local open = reservations[q]
  if not open then return gone(q) end
  account[RESERVED] = account[RESERVED] - open[1]
  account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] - 1
  record(WAS_RELEASED, account, n, j, open[1], 0, 0)
  end_reservation(q, RELEASED)
  decide(DONE, open[1])
end

-- How much of an earlier entry is given back now: never more than is left of it. Else nothing, and why.
local function undo_amount(account, j, original_amount)
  local asked, refused
  if commands[j + SCALE] >= 0 then
    asked, refused = units(commands[j + MANTISSA], commands[j + SCALE], account[DECIMALS])
    if refused then return nil, refused end
  end
  if account[STATUS] == CLOSED then return nil, ACCOUNT_CLOSED end
  local left = original_amount - undone[commands[j + ORIGINAL]]
  local amount = asked or left
  if amount > left or amount == 0 then return nil, EXCEEDS_ORIGINAL end
  return amount
end

handlers[REFUND] = function(account, n, j)
  local facts, q = commands[j + EXTRA], commands[j + ORIGINAL]
  local amount, refused = undo_amount(account, j, facts[1])
  if refused then return refused end
  local balance, unbilled, kind = account[BALANCE], account[UNBILLED], REFUNDED_BALANCE
  if facts[2] == POSTPAID and facts[3] == account[OPEN_BILL] then
    unbilled, kind = unbilled - amount, REFUNDED_UNBILLED
  else
    balance = balance + amount
  end
  if not is_within_range(balance, unbilled, account[RESERVED]) then return BALANCE_OUT_OF_RANGE end
  account[BALANCE], account[UNBILLED] = balance, unbilled
  undone[q] = undone[q] + amount
  dirty_undone[q] = true
  record(kind, account, n, j, amount, undone[q], facts[3])
  decide(DONE, amount)
end

-- -------------------------------------------------------------------------------------------------------- what an operator does

-- Permanent limit, temporary limit and its end after a change (see `limit` in batch.rs); else nothing, and why. The end is checked
-- by the caller, who has more important refusals to make.
local function limit_after(account, change)
  local permanent, temporary, ends, refused = account[PERMANENT], account[TEMPORARY], account[TEMPORARY_UNTIL], nil
  if change[2] >= 0 then
    permanent, refused = units(change[1], change[2], account[DECIMALS])
    if refused then return nil, nil, nil, refused end
  end
  if change[3] == 1 then
    temporary, ends = 0, 0
  elseif change[3] >= 2 then
    temporary, refused = units(change[4], change[5], account[DECIMALS])
    if refused then return nil, nil, nil, refused end
    ends = change[6]
    if change[3] == 3 then ends = now + ends end
  end
  return permanent, temporary, ends
end

local function ends_in_past(change) return change[3] == 2 and change[6] <= now end

local function is_unusable(mode, balance, permanent, temporary, ends)
  if mode ~= POSTPAID or balance > 0 then return false end
  if now < ends and temporary > permanent then permanent = temporary end
  return permanent == 0
end

handlers[CONVERT] = function(account, n, j)
  local change, option = commands[j + EXTRA], commands[j + OPTION]
  local permanent, temporary, ends, refused = limit_after(account, change)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local mode, is_allowed = floor(option / 10), option % 10 == 1
  local usable_before = usable(account)
  if account[MODE] == mode then return decide(UNCHANGED, usable_before) end
  if ends_in_past(change) then return LIMIT_ENDS_IN_PAST end
  -- Only a prepaid account can come to be unusable this way, and converting it moves no money.
  if not is_allowed and is_unusable(mode, account[BALANCE], permanent, temporary, ends) then return WOULD_BE_UNUSABLE end
  if mode == PREPAID and account[PERIOD_END] ~= 0 then cut_bill(FINAL_BILLED, account, n, now, commands[j + REST]) end
  account[MODE] = mode
  record(CONVERTED, account, n, j, 0, 0, 0)
  account[PERMANENT], account[TEMPORARY], account[TEMPORARY_UNTIL] = permanent, temporary, ends
  if change[2] >= 0 or change[3] > 0 then record(LIMIT_SET, account, n, j, permanent, temporary, ends) end
  decide(DONE, usable_before)
end

handlers[SET_CREDIT_LIMIT] = function(account, n, j)
  local change = commands[j + EXTRA]
  local permanent, temporary, ends, refused = limit_after(account, change)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if ends_in_past(change) then return LIMIT_ENDS_IN_PAST end
  if commands[j + OPTION] ~= 1 and is_unusable(account[MODE], account[BALANCE], permanent, temporary, ends) then
    return WOULD_BE_UNUSABLE
  end
  account[PERMANENT], account[TEMPORARY], account[TEMPORARY_UNTIL] = permanent, temporary, ends
  record(LIMIT_SET, account, n, j, permanent, temporary, ends)
  decide(DONE, 0)
end

-- A new account; else nothing, and why.
local function create(n, j)
  local extra = commands[j + EXTRA]
  local mode, non_usage, decimals, minor_digits, currency, change = extra[1], extra[2], extra[3], extra[4], extra[5], extra[10]
  local account = { ACTIVE, mode, non_usage, decimals, minor_digits, currency, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0 }
  local permanent, temporary, ends, refused = limit_after(account, change)
  if refused then return nil, refused end
  local threshold = -1
  if extra[7] >= 0 then
    threshold, refused = units(extra[6], extra[7], decimals)
    if refused then return nil, refused end
  end
  if ends_in_past(change) then return nil, LIMIT_ENDS_IN_PAST end
  if commands[j + OPTION] ~= 1 and is_unusable(mode, 0, permanent, temporary, ends) then return nil, WOULD_BE_UNUSABLE end
  account[PERMANENT], account[TEMPORARY], account[TEMPORARY_UNTIL] = permanent, temporary, ends
  record(CREATED, account, n, j, permanent, temporary, ends)
  profiles[n] = { threshold, now, extra[8], extra[9], '' }
  dirty_profiles[n] = true
  decide(DONE, 0)
  return account
end

handlers[UPDATE] = function(account, n, j)
  local extra = commands[j + EXTRA]
  local threshold, refused
  if extra[1] == 2 then
    threshold, refused = units(extra[2], extra[3], account[DECIMALS])
    if refused then return refused end
  end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local profile = profiles[n]
  if not profile then return ACCOUNT_NOT_FOUND end
  if extra[1] == 1 then profile[1] = -1 elseif extra[1] == 2 then profile[1] = threshold end
  if extra[4] > 0 then account[NON_USAGE] = extra[4] end
  if extra[5] ~= '' then profile[3], profile[4] = extra[5], extra[6] end
  dirty_profiles[n] = true
  record(UPDATED, account, n, j, 0, 0, 0)
  decide(DONE, 0)
end

local function move_balance(account, n, j, kind, amount, change)
  local balance = account[BALANCE] + change
  if not is_within_range(balance, account[UNBILLED], account[RESERVED]) then return BALANCE_OUT_OF_RANGE end
  account[BALANCE] = balance
  record(kind, account, n, j, amount, 0, 0)
  decide(DONE, amount)
end

handlers[TOP_UP] = function(account, n, j)
  local amount, refused = units(commands[j + MANTISSA], commands[j + SCALE], account[DECIMALS])
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return move_balance(account, n, j, TOPPED_UP, amount, amount)
end

handlers[ADJUST] = function(account, n, j)
  local amount, refused = units(commands[j + MANTISSA], commands[j + SCALE], account[DECIMALS])
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return move_balance(account, n, j, ADJUSTED, amount, amount)
end

handlers[WITHDRAW] = function(account, n, j)
  local amount, refused = units(commands[j + MANTISSA], commands[j + SCALE], account[DECIMALS])
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if account[STATUS] == SUSPENDED then return ACCOUNT_SUSPENDED end
  local own = account[BALANCE] - account[UNBILLED] - account[RESERVED]
  if own < 0 then own = 0 end
  if amount > own then return decide(DECLINED, amount - own) end
  return move_balance(account, n, j, WITHDRAWN, amount, -amount)
end

handlers[REVERSE_PAYMENT] = function(account, n, j)
  local q = commands[j + ORIGINAL]
  local amount, refused = undo_amount(account, j, commands[j + EXTRA][1])
  if refused then return refused end
  local balance = account[BALANCE] - amount
  if not is_within_range(balance, account[UNBILLED], account[RESERVED]) then return BALANCE_OUT_OF_RANGE end
  account[BALANCE] = balance
  undone[q] = undone[q] + amount
  dirty_undone[q] = true
  record(PAYMENT_REVERSED, account, n, j, amount, undone[q], 0)
  decide(DONE, amount)
end

local function set_status(account, n, j, status, kind)
  if account[STATUS] == status then return decide(UNCHANGED, 0) end
  account[STATUS] = status
  record(kind, account, n, j, 0, 0, 0)
  decide(DONE, 0)
end

handlers[SUSPEND] = function(account, n, j)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return set_status(account, n, j, SUSPENDED, WAS_SUSPENDED)
end

handlers[RESUME] = function(account, n, j)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return set_status(account, n, j, ACTIVE, WAS_RESUMED)
end

handlers[CLOSE] = function(account, n, j)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if account[BALANCE] ~= 0 or account[UNBILLED] ~= 0 then return ACCOUNT_NOT_EMPTY end
  if account[OPEN_RESERVATIONS] > 0 then return RESERVATIONS_OPEN end
  return set_status(account, n, j, CLOSED, WAS_CLOSED)
end

-- ------------------------------------------------------------------------------------------------------------- one by one, in order

-- Decides on the command whose columns follow j. Answers the code, the remembered decision, the account to show.
local function step(j)
  local kind, n, q = commands[j + KIND], commands[j + ACCOUNT], commands[j + REQUEST]
  local account, remembered = accounts[n], q > 0 and requests[q]
  if remembered and sub(remembered, 1, 8) ~= commands[j + FINGERPRINT] then return REQUEST_ID_REUSED end
  if not remembered then
    if kind == AUTHORIZE and reservations[q] then return REQUEST_ID_REUSED end
    if commands[j + FIRST_SENT_AT] > 0 and now - commands[j + FIRST_SENT_AT] > window then return REQUEST_TOO_OLD end
    if kind == CREATE then
      if account then return ACCOUNT_EXISTS end
    end
  end
  if not account and (remembered or kind ~= CREATE) then return ACCOUNT_NOT_FOUND end
  local sent_currency = commands[j + SENT_CURRENCY]
  if not remembered and account and sent_currency > 0 and sent_currency ~= account[CURRENCY] then return CURRENCY_MISMATCH end

  -- A close that is due is applied to a copy, which only an accepted command makes real.
  local entries_before, sequence_before, is_copy = entry_count, sequence, false
  if account and account[PERIOD_END] ~= 0 and account[PERIOD_END] <= now then
    account, is_copy = { unpack(account, 1, ACCOUNT_FIELDS) }, true
    cut_bill(PERIOD_CLOSED, account, n, account[PERIOD_END], '')
  end

  local refused, code = nil, 0
  local own_sequence = sequence + 1
  verdict, overdraft, flags, slot_amount, slot_report_by, slot_expires_at = 0, 0, 0, 0, 0, 0
  if remembered then
    code = 1
  elseif kind == OBSERVE then
    local lease = commands[j + OPTION]
    if lease > 0 and now + lease > watched_until then watched_until, is_state_dirty = now + lease, true end
    remembered = ''
  elseif kind == CREATE then
    account, refused = create(n, j)
  else
    refused = handlers[kind](account, n, j)
  end

  if verdict ~= DONE then
    -- Nothing happened: what was due is still due.
    entry_count, sequence = entries_before, sequence_before
    if refused then return refused end
  else
    accounts[n] = account
  end
  local packed
  if verdict ~= DONE and not is_copy then
    packed = stored_accounts[n]
  else
    packed = pack(ACCOUNT_FORMAT, unpack(account, 1, ACCOUNT_FIELDS))
  end
  if verdict == DONE then
    stored_accounts[n] = packed
    dirty_accounts[n] = true
  end
  if not remembered then
    if flags % 2 == 1 or floor(flags / RESERVE_DECLINED) % 2 == 1 then
      remembered = pack(REMEMBERED_LONG_FORMAT, commands[j + FINGERPRINT], kind, verdict, flags, 0, amount_decided, overdraft,
        verdict == DONE and own_sequence or 0, slot_amount, slot_report_by, slot_expires_at)
    else
      remembered = pack(REMEMBERED_FORMAT, commands[j + FINGERPRINT], kind, verdict, flags, 0, amount_decided, overdraft,
        verdict == DONE and own_sequence or 0)
    end
    requests[q] = remembered
    dirty_requests[q] = true
  end
  return code, remembered, packed
end

local o = 1
for i = 0, command_count - 1 do
  local code, remembered, account = step(i * COLUMNS)
  out[o + 1], out[o + 2], out[o + 3] = code, remembered or '', account or ''
  o = o + 3
end

-- ------------------------------------------------------------------- the point of no return: below are only writes that cannot fail

local writes, w = {}, 0
for n in pairs(dirty_accounts) do
  writes[w + 1], writes[w + 2] = account_ids[n], stored_accounts[n]
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
  local header = pack('<i8I4', first_sequence, count)
  call('XADD', JOURNAL, format('%.0f-0', first_sequence), 'b', header .. block_id .. last_block .. concat(entries, '', 1, entry_count))
  last_block = block_id
end

if is_state_dirty then
  call('SET', STATE, pack(STATE_FORMAT, FORMAT_VERSION, sequence, state_now, next_expiry, rotated_at, watched_until, last_block))
end

if changed_count > 0 and now < watched_until then call('SPUBLISH', ARGV[2], cmsgpack.pack(changed)) end

return out
