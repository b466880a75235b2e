-- What a transaction asks: src/domain/rules/charging.rs.

local handlers = {}

handlers[AUTHORIZE] = function(account, n)
  local reserve = detail
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
  record(WAS_RESERVED, account, granted, report_by, expires_at)
  put_reservation(request, account, granted, report_by, expires_at, reserve[7])
  decide(DONE, granted)
  show_reservation(granted, report_by, expires_at, granted < amount and FINAL_UNIT or 0)
end

handlers[DEBIT] = function(account, n)
  local decimals, q = account[DECIMALS], original
  local amount, refused = units(mantissa, scale, decimals)
  local category, is_consumed, afterwards = floor(option / 100), floor(option / 10) % 10 == 2, option % 10
  local reserve, next_amount, next_minimum, next_refused
  if afterwards == 2 then
    reserve = detail
    next_amount, next_minimum, next_refused = wanted(reserve, decimals)
  end
  refused = earlier(refused, next_refused)
  if refused then return refused end
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  if q == 0 and not is_consumed and account[STATUS] == SUSPENDED then return ACCOUNT_SUSPENDED end
  local open = q > 0 and reservations[q]
  if q > 0 and not open then
    local reason = gone(q)
    if not is_consumed or reason ~= RESERVATION_EXPIRED then return reason end
  end
  local held = open and open[1] or 0
  local is_own_bill = account[MODE] == POSTPAID and account[NON_USAGE_BILLING] == ONE_BY_ONE and category ~= USAGE
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

  local kept = held - price
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
  local has_too_many = reserve and account[OPEN_RESERVATIONS] - (open and 1 or 0) >= MAX_OPEN_RESERVATIONS
  if reserve and account[STATUS] ~= SUSPENDED and not has_too_many then
    granted, shortfall = grant(next_amount, next_minimum, usable_of(account, balance, unbilled, reserved))
    if granted and not is_within_range(balance, unbilled, reserved + granted) then return BALANCE_OUT_OF_RANGE end
  end

  account[BALANCE], account[UNBILLED], account[RESERVED] = balance, unbilled, reserved
  if open and not keeps then account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] - 1 end
  local left = keeps and kept + 1 or 0
  if is_own_bill then
    account[LAST_BILL] = account[LAST_BILL] + 1
    local bill = account[LAST_BILL]
    charged_kind, charged_bill = CHARGED_OWN_BILL, bill
    push(CHARGED_OWN_BILL, account, bill, amount, balance - rounding, left, over)
    if rounding ~= 0 then push(ROUNDED, account, bill, rounding, balance, 0, 0) end
  else
    charged_kind, charged_bill = account[MODE] == POSTPAID and CHARGED_UNBILLED or CHARGED_BALANCE, account[OPEN_BILL]
    record(charged_kind, account, amount, left, over)
  end
  decide(DONE, amount)
  second_amount = over
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
      record(EXTENDED, account, granted, report_by, expires_at)
      put_reservation(q, account, granted, report_by, expires_at, reserve[7])
      mark_ended(q, 0, not open or open[3] ~= expires_at)
      show_reservation(granted, report_by, expires_at, RESERVE_GRANTED + (granted < next_amount and FINAL_UNIT or 0))
    else
      if open then end_reservation(q, SETTLED) end
      if shortfall then
        flags, slot_amount = flags + RESERVE_DECLINED, shortfall
      else
        flags = flags + (account[STATUS] == SUSPENDED and RESERVE_SUSPENDED or RESERVE_TOO_MANY)
      end
    end
  elseif open then
    end_reservation(q, SETTLED)
  end
end

handlers[RELEASE] = function(account, n)
  if account[STATUS] == CLOSED then return ACCOUNT_CLOSED end
  local q = original
  local open = reservations[q]
  if not open then return gone(q) end
  account[RESERVED] = account[RESERVED] - open[1]
  account[OPEN_RESERVATIONS] = account[OPEN_RESERVATIONS] - 1
  record(WAS_RELEASED, account, open[1], 0, 0)
  end_reservation(q, RELEASED)
  decide(DONE, open[1])
end
