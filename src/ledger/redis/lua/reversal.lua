
-- Giving back what an earlier entry took or gave: src/domain/rules/reversal.rs.

-- The bill that this step has closed because it was due, and what was billed; set by step.lua.
local closed_bill, closed_sum

local is_charge = { [CHARGED_BALANCE] = true, [CHARGED_UNBILLED] = true, [CHARGED_OWN_BILL] = true }
local is_payment = { [TOPPED_UP] = true, [PAYMENT_RECORDED] = true }
local is_write_off = { [WRITTEN_OFF] = true }
local entry_of_command = { [TOP_UP] = TOPPED_UP, [RECORD_PAYMENT] = PAYMENT_RECORDED, [WRITE_OFF] = WRITTEN_OFF }

-- What is kept under a field: the sum, what was billed (-1: not known), sequence, time. False: nothing. Else nothing, and why.
local function kept_of(field)
  local kept = refunds[field]
  if kept == nil then
    local stored = call('HGET', REFUNDS, field)
    if stored and #stored ~= REFUNDED_BYTES then return nil, STORE_CORRUPT end
    kept = stored and { unpack_struct(REFUNDED_FORMAT, stored) }
    if kept then kept[5] = nil end
    refunds[field] = kept
  end
  return kept
end

local function keep(field, sum, billed, at)
  refunds[field] = { sum, billed, at, now }
  dirty_refunds[field] = true
end

-- Sequence, kind, amount and bill of the original; else nothing, nothing, nothing, nothing, and why.
local function original_of(is_wanted)
  local remembered, facts = requests[original], detail
  if remembered then
    local _, of_kind, of_verdict, of_flags, _, amount, at, more = unpack_struct(REMEMBERED_FORMAT, remembered)
    local entry_kind, bill = entry_of_command[of_kind], 0
    if of_kind == DEBIT then
      if of_flags >= HAS_CHARGED then
        entry_kind, bill = unpack_struct('<BI4', remembered, more)
      elseif of_verdict == DONE then
        -- It was remembered by format version 2, which does not say how it was charged.
        remembered = nil
      end
    end
    if remembered then
      if of_verdict ~= DONE or not is_wanted[entry_kind or 0] then return nil, nil, nil, nil, CHARGE_NOT_FOUND end
      return at, entry_kind, amount, bill
    end
  end
  if not facts or not is_wanted[facts[2]] then return nil, nil, nil, nil, ORIGINAL_NEEDED end
  return facts[1], facts[2], facts[3], facts[4]
end

-- What is given back now, and what is known of the original; else nothing, and why.
local function undoing(account, is_wanted)
  local asked, refused
  if scale >= 0 then
    asked, refused = units(mantissa, scale, account[DECIMALS])
    if refused then return nil, refused end
  end
  if account[STATUS] == CLOSED then return nil, ACCOUNT_CLOSED end
  local at, entry_kind, total, bill, kept, before
  at, entry_kind, total, bill, refused = original_of(is_wanted)
  if refused then return nil, refused end
  local field = 'c' .. pack('<I8', at)
  kept, refused = kept_of(field)
  if refused then return nil, refused end
  if kept then
    before = kept[1]
  elseif at > refunds_dropped_until then
    before = 0
  elseif detail and detail[1] == at and detail[6] >= refunds_dropped_until then
    before = detail[5]
  else
    return nil, ORIGINAL_NEEDED
  end
  local left = total - before
  local amount = asked or left
  if amount > left or amount <= 0 then return nil, EXCEEDS_ORIGINAL end
  return { field = field, at = at, kind = entry_kind, total = total, bill = bill, before = before, amount = amount }
end

-- The account must already be as it is after it.
local function record_undo(account, undo, entry_kind, amount, of_bill)
  local sum, rounding = undo.before + undo.amount, amount - undo.amount
  keep(undo.field, sum, -1, sequence + 1)
  given_back = { undo.at, rounding, of_bill }
  record(entry_kind, account, amount, sum, undo.bill)
  given_back = nil
  decide(DONE, undo.amount)
  second_amount = rounding
end

-- What was billed, and what was refunded of it since it was cut; and the field that says so; else nothing, nothing, nothing, and why.
local function bill_sums(n, bill)
  if closed_bill == bill then
    return closed_sum, 0, 'b' .. account_ids[n] .. '\0' .. pack('<I4', bill)
  end
  local field = 'b' .. account_ids[n] .. '\0' .. pack('<I4', bill)
  local kept, refused = kept_of(field)
  if refused then return nil, nil, nil, refused end
  local is_known = detail and detail[7] == bill
  if kept then
    if kept[2] >= 0 then return kept[2], kept[1], field end
    if is_known then return detail[8], kept[1], field end
  elseif is_known and detail[10] >= refunds_dropped_until then
    return detail[8], detail[9], field
  end
  return nil, nil, nil, BILL_NEEDED
end

handlers[REFUND] = function(account, n)
  local undo, refused = undoing(account, is_charge)
  if refused then return refused end
  local amount, balance, unbilled = undo.amount, account[BALANCE], account[UNBILLED]
  local credited, entry_kind, left, billed, refunded, field = amount, REFUNDED_BALANCE, nil, nil, 0, nil
  if undo.kind == CHARGED_UNBILLED and undo.bill == account[OPEN_BILL] then
    unbilled, entry_kind = unbilled - amount, REFUNDED_UNBILLED
  else
    if undo.kind == CHARGED_UNBILLED then
      billed, refunded, field, refused = bill_sums(n, undo.bill)
      if refused then return refused end
      left = billed - refunded
      refunded = refunded + amount
    elseif undo.kind == CHARGED_OWN_BILL then
      left = undo.total - undo.before
    end
    if left then credited = round_half_up(left, account) - round_half_up(left - amount, account) end
    balance = balance + credited
  end
  if not is_within_range(balance, unbilled, account[RESERVED]) then return BALANCE_OUT_OF_RANGE end
  account[BALANCE], account[UNBILLED] = balance, unbilled
  if field then keep(field, refunded, billed, sequence + 1) end
  record_undo(account, undo, entry_kind, credited, refunded)
end

local function reverse(account, is_wanted, entry_kind)
  local undo, refused = undoing(account, is_wanted)
  if refused then return refused end
  local balance = account[BALANCE] - undo.amount
  if not is_within_range(balance, account[UNBILLED], account[RESERVED]) then return BALANCE_OUT_OF_RANGE end
  account[BALANCE] = balance
  record_undo(account, undo, entry_kind, undo.amount, 0)
end

handlers[REVERSE_PAYMENT] = function(account, n) return reverse(account, is_payment, PAYMENT_REVERSED) end

handlers[REVERSE_WRITE_OFF] = function(account, n) return reverse(account, is_write_off, WRITE_OFF_REVERSED) end
