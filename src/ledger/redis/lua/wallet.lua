-- What an operator does: src/domain/rules/wallet.rs.

-- Permanent limit, temporary limit and its end after a change (see `limit` in batch.rs); else nothing, and why. The end is checked
-- by the caller, who has more important refusals to make.
local function limit_after(account, change)
  local permanent, temporary, ends, refused = account[PERMANENT_LIMIT], account[TEMPORARY_LIMIT], account[TEMPORARY_UNTIL], nil
  if change[2] >= 0 then
    permanent, refused = units(change[1], change[2], account[DECIMALS])
  end
  if change[3] == 1 then
    temporary, ends = 0, 0
  elseif change[3] >= 2 then
    local also_refused
    temporary, also_refused = units(change[4], change[5], account[DECIMALS])
    refused = earlier(refused, also_refused)
    ends = change[6]
    if change[3] == 3 then ends = now + ends end
  end
  return permanent, temporary, ends, refused
end

local function ends_in_past(change) return change[3] == 2 and change[6] <= now end

local function is_unusable(mode, balance, permanent, temporary, ends)
  if mode ~= POSTPAID or balance > 0 then return false end
  if now < ends and temporary > permanent then permanent = temporary end
  return permanent == 0
end

handlers[CONVERT] = function(account, n)
  local change = detail
  local permanent, temporary, ends, refused = limit_after(account, change)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local mode, is_allowed = floor(option / 10), option % 10 == 1
  local usable_before = usable(account)
  if account[MODE] == mode then return decide(UNCHANGED, usable_before) end
  if ends_in_past(change) then return LIMIT_ENDS_IN_PAST end
  -- Only a prepaid account can come to be unusable this way, and converting it moves no money.
  if not is_allowed and is_unusable(mode, account[BALANCE], permanent, temporary, ends) then return WOULD_BE_UNUSABLE end
  if mode == PREPAID and account[PERIOD_END] ~= 0 then cut_bill(FINAL_BILLED, account) end
  account[MODE] = mode
  record(CONVERTED, account, 0, 0, 0)
  account[PERMANENT_LIMIT], account[TEMPORARY_LIMIT], account[TEMPORARY_UNTIL] = permanent, temporary, ends
  if change[2] >= 0 or change[3] > 0 then record(LIMIT_SET, account, permanent, temporary, ends) end
  decide(DONE, usable_before)
end

handlers[SET_CREDIT_LIMIT] = function(account, n)
  local change = detail
  local permanent, temporary, ends, refused = limit_after(account, change)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if ends_in_past(change) then return LIMIT_ENDS_IN_PAST end
  if option ~= 1 and is_unusable(account[MODE], account[BALANCE], permanent, temporary, ends) then
    return WOULD_BE_UNUSABLE
  end
  account[PERMANENT_LIMIT], account[TEMPORARY_LIMIT], account[TEMPORARY_UNTIL] = permanent, temporary, ends
  record(LIMIT_SET, account, permanent, temporary, ends)
  decide(DONE, 0)
end

-- A new account; else nothing, and why.
local function create(n)
  local extra = detail
  local mode, non_usage, decimals, minor_digits, currency, change = extra[1], extra[2], extra[3], extra[4], extra[5], extra[10]
  local account = { 0, 0, 0, 0, 0, 0, 0, 1, ACTIVE, mode, decimals, non_usage, minor_digits, currency, 0, 1, 0, NEVER }
  local permanent, temporary, ends, refused = limit_after(account, change)
  local threshold, also_refused = -1, nil
  if extra[7] >= 0 then threshold, also_refused = units(extra[6], extra[7], decimals) end
  refused = earlier(refused, also_refused)
  if refused then return nil, refused end
  if ends_in_past(change) then return nil, LIMIT_ENDS_IN_PAST end
  if option ~= 1 and is_unusable(mode, 0, permanent, temporary, ends) then return nil, WOULD_BE_UNUSABLE end
  account[PERMANENT_LIMIT], account[TEMPORARY_LIMIT], account[TEMPORARY_UNTIL] = permanent, temporary, ends
  record(CREATED, account, permanent, temporary, ends)
  profiles[n] = { threshold, now, extra[8], extra[9], '' }
  dirty_profiles[n] = true
  decide(DONE, 0)
  return account
end

handlers[UPDATE] = function(account, n)
  local extra = detail
  local threshold, refused
  if extra[1] == 2 then
    threshold, refused = units(extra[2], extra[3], account[DECIMALS])
    if refused then return refused end
  end
  if extra[7] then
    if account[STATUS] ~= CLOSED then return ACCOUNT_NOT_CLOSED end
  elseif account[STATUS] == CLOSED then
    return ACCOUNT_CLOSED
  end
  local profile = profiles[n]
  if not profile then return STORE_CORRUPT end
  if extra[1] == 1 then profile[1] = -1 elseif extra[1] == 2 then profile[1] = threshold end
  if extra[4] > 0 then account[NON_USAGE_BILLING] = extra[4] end
  if extra[5] ~= '' then profile[3], profile[4] = extra[5], extra[6] end
  dirty_profiles[n] = true
  record(UPDATED, account, 0, 0, 0)
  decide(DONE, 0)
end

local function move_balance(account, entry_kind, amount, change)
  local balance = account[BALANCE] + change
  if not is_within_range(balance, account[UNBILLED], account[RESERVED]) then return BALANCE_OUT_OF_RANGE end
  account[BALANCE] = balance
  record(entry_kind, account, amount, 0, 0)
  decide(DONE, amount)
end

handlers[TOP_UP] = function(account, n)
  local amount, refused = units(mantissa, scale, account[DECIMALS])
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return move_balance(account, TOPPED_UP, amount, amount)
end

handlers[RECORD_PAYMENT] = function(account, n)
  local amount, refused = minor_units(mantissa, scale, account)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return move_balance(account, PAYMENT_RECORDED, amount, amount)
end

handlers[ADJUST] = function(account, n)
  local amount, refused = units(mantissa, scale, account[DECIMALS])
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return move_balance(account, ADJUSTED, amount, amount)
end

handlers[WRITE_OFF] = function(account, n)
  local asked, refused
  if scale >= 0 then
    asked, refused = minor_units(mantissa, scale, account)
    if refused then return refused end
  end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local due = -account[BALANCE]
  local amount = asked or due
  if amount > due or amount <= 0 then return EXCEEDS_AMOUNT_DUE end
  return move_balance(account, WRITTEN_OFF, amount, amount)
end

handlers[WITHDRAW] = function(account, n)
  local amount, refused = minor_units(mantissa, scale, account)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  -- Of what was paid out already, nobody asks whether the account may have it.
  if option ~= 1 then
    if account[STATUS] == SUSPENDED then return ACCOUNT_SUSPENDED end
    local own = account[BALANCE] - account[UNBILLED] - account[RESERVED]
    if own < 0 then own = 0 end
    if amount > own then return decide(DECLINED, amount - own) end
  end
  return move_balance(account, WITHDRAWN, amount, -amount)
end

local function set_status(account, status, entry_kind)
  if account[STATUS] == status then return decide(UNCHANGED, 0) end
  account[STATUS] = status
  record(entry_kind, account, 0, 0, 0)
  decide(DONE, 0)
end

handlers[SUSPEND] = function(account, n)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return set_status(account, SUSPENDED, WAS_SUSPENDED)
end

handlers[RESUME] = function(account, n)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  return set_status(account, ACTIVE, WAS_RESUMED)
end

handlers[CLOSE] = function(account, n)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local left, least = account[BALANCE], minor_unit(account)
  if left >= least or left <= -least or account[UNBILLED] ~= 0 then return ACCOUNT_NOT_EMPTY end
  if account[OPEN_RESERVATIONS] > 0 then return RESERVATIONS_OPEN end
  if left ~= 0 then
    account[BALANCE] = 0
    record(AMOUNT_DUE_ROUNDED, account, -left, 0, 0)
  end
  return set_status(account, CLOSED, WAS_CLOSED)
end

handlers[REOPEN] = function(account, n)
  if account[STATUS] ~= CLOSED then return ACCOUNT_NOT_CLOSED end
  return set_status(account, ACTIVE, WAS_REOPENED)
end
