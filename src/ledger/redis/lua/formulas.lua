-- Formulas, and what the rules have in common.

local function credit_limit(account)
  local limit = account[PERMANENT_LIMIT]
  if now < account[TEMPORARY_UNTIL] and account[TEMPORARY_LIMIT] > limit then return account[TEMPORARY_LIMIT] end
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

-- Of the reasons against two amounts of one command, the earlier in the order of precedence.
local function earlier(one, other)
  if other == TOO_MANY_DECIMALS then return other end
  return one or other
end

local function minor_unit(account) return powers[account[DECIMALS] - account[MINOR_DIGITS]] end

-- An amount that must be a whole number of minor units, in units; else nothing, and why.
local function minor_units(mantissa, scale, account)
  local amount, refused = units(mantissa, scale, account[DECIMALS])
  if refused then return nil, refused end
  if amount % minor_unit(account) ~= 0 then return nil, NOT_IN_MINOR_UNITS end
  return amount
end

local function round_half_up(amount, account)
  local step = minor_unit(account)
  local remainder = amount % step
  if remainder * 2 >= step and remainder ~= 0 then return amount - remainder + step end
  return amount - remainder
end

-- Unbilled and reserved are never negative.
local function is_within_range(balance, unbilled, reserved)
  local current = balance - unbilled
  return balance <= MAX_COMMANDED_UNITS and unbilled <= MAX_COMMANDED_UNITS and reserved <= MAX_COMMANDED_UNITS
    and balance >= -MAX_COMMANDED_UNITS and current >= -MAX_COMMANDED_UNITS and current <= MAX_COMMANDED_UNITS
end

local moves_money = {
  [CHARGED_BALANCE] = true, [CHARGED_UNBILLED] = true, [CHARGED_OWN_BILL] = true, [REFUNDED_BALANCE] = true,
  [REFUNDED_UNBILLED] = true, [TOPPED_UP] = true, [PAYMENT_REVERSED] = true, [WITHDRAWN] = true, [ADJUSTED] = true,
  [PERIOD_CLOSED] = true, [FINAL_BILLED] = true, [ROUNDED] = true, [PAYMENT_RECORDED] = true,
  [WRITTEN_OFF] = true, [WRITE_OFF_REVERSED] = true, [AMOUNT_DUE_ROUNDED] = true,
}

-- Numbers an entry, and appends it. Most need neither details nor a time of their own. Due events have the latter, and of the
-- command's metadata only the account.
-- What the command gives back, of a refund or a reversal: the original's sequence, how the credit was rounded, what was refunded of the bill.
local given_back

local function push(entry_kind, account, bill, amount, balance, first_detail, second_detail, time)
  sequence = sequence + 1
  local own = 0
  if moves_money[entry_kind] then
    own = account[SEQUENCE] + 1
    account[SEQUENCE] = own
  end
  local more, metadata_place = '', place
  if time then
    entry_kind, more, metadata_place = entry_kind + OWN_TIME, pack('<i7', time), metadata_place + ACCOUNT_ONLY
  end
  if first_detail ~= 0 or second_detail ~= 0 then
    entry_kind, more = entry_kind + DETAILS, more .. pack('<i7i7', first_detail, second_detail)
  end
  local mode = account[MODE]
  if given_back then
    mode, more = mode + GIVEN_BACK, more .. pack('<i7i7i7', given_back[1], given_back[2], given_back[3])
  end
  entries[entry_count + 1] =
    pack(ENTRY_FORMAT, entry_kind, mode, metadata_place, bill, amount, balance, account[UNBILLED], account[RESERVED], own)
  entries[entry_count + 2] = more
  entry_count = entry_count + 2
end

-- Records an entry of the command in the open bill. The account must already be as it is after it.
local function record(entry_kind, account, amount, first_detail, second_detail)
  if moves_money[entry_kind] and account[PERIOD_END] == 0 then account[PERIOD_END] = period_end end
  push(entry_kind, account, account[OPEN_BILL], amount, account[BALANCE], first_detail, second_detail)
end

-- Cuts the open bill: what is unbilled moves to the balance. Its sum is rounded to the minor unit, and then, of a postpaid account, what
-- is due. Each rounding has an entry of its own.
local function cut_bill(entry_kind, account, time)
  local bill, billed = account[OPEN_BILL], account[UNBILLED]
  local rounding, due_rounding = billed - round_half_up(billed, account), 0
  local balance = account[BALANCE] - billed
  local rounded = balance + rounding
  if rounded < 0 and account[MODE] == POSTPAID then due_rounding = -rounded - round_half_up(-rounded, account) end
  account[BALANCE] = rounded + due_rounding
  account[UNBILLED] = 0
  account[LAST_BILL] = account[LAST_BILL] + 1
  account[OPEN_BILL] = account[LAST_BILL]
  account[PERIOD_END] = 0
  push(entry_kind, account, bill, billed, balance, 0, 0, time)
  if rounding ~= 0 then push(ROUNDED, account, bill, rounding, rounded, 0, 0, time) end
  if due_rounding ~= 0 then push(AMOUNT_DUE_ROUNDED, account, bill, due_rounding, account[BALANCE], 0, 0, time) end
end

-- The decision that is being made. A handler sets it, and returns a refusal or nothing. The second amount is an overdraft, or how a credit
-- was rounded; of a charge, the kind of its entry and its bill are kept.
local verdict, amount_decided, second_amount, charged_kind, charged_bill, flags, slot_amount, slot_report_by, slot_expires_at

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

local function put_reservation(q, account, amount, report_by, expires_at, tail)
  if expires_at < account[NEXT_EXPIRY] then account[NEXT_EXPIRY] = expires_at end
  local open = reservations[q]
  if (not open or open[3] ~= expires_at) and expires_at > reserved_until then reserved_until = expires_at end
  reservations[q] = { amount, report_by, expires_at, tail }
  dirty_reservations[q], moved[q] = true, true
end

-- The request that made a reservation remembers how it ended. Marking it also makes it young again, and so does an extension.
local function mark_ended(q, ended, is_extended)
  local remembered = requests[q]
  if remembered and (is_extended or byte(remembered, 12) ~= ended) then
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
  local minimum, also_refused = -1, nil
  if reserve[4] >= 0 then minimum, also_refused = units(reserve[3], reserve[4], decimals) end
  return amount, minimum, earlier(refused, also_refused)
end
