-- Command by command, in order: src/domain/rules.rs.

-- Decides on the current command. Answers the code, the remembered decision, the account to show.
local function step(n, extra)
  local account, remembered = accounts[n], request > 0 and requests[request]
  local first_sent_at, sent_currency
  original, first_sent_at, sent_currency, detail = 0, 0, 0, nil
  if extra ~= '' then
    local more = cmsgpack.unpack(extra)
    original, first_sent_at, sent_currency, detail = more[1], more[2], more[3], more[4]
  end
  if remembered and sub(remembered, 1, 8) ~= fingerprint then return REQUEST_ID_REUSED end
  if not remembered then
    if kind == AUTHORIZE and reservations[request] then return REQUEST_ID_REUSED end
    if first_sent_at > 0 and now - first_sent_at > window then return REQUEST_TOO_OLD end
    if kind == CREATE and account then return ACCOUNT_EXISTS end
  end
  if not account and (remembered or kind ~= CREATE) then return ACCOUNT_NOT_FOUND end
  if not remembered and account and sent_currency > 0 and sent_currency ~= account[CURRENCY] then return CURRENCY_MISMATCH end

  -- A close that is due is applied to a copy, which only an accepted command makes real.
  local entries_before, sequence_before, is_copy = entry_count, sequence, false
  if account and account[PERIOD_END] ~= 0 and account[PERIOD_END] <= now then
    account, is_copy = { unpack(account, 1, ACCOUNT_FIELDS) }, true
    local id = account_ids[n]
    cut_bill(PERIOD_CLOSED, account, pack('<I2c0I4', #id, id, 0), account[PERIOD_END])
  end

  local refused, code = nil, 0
  local own_sequence = sequence + 1
  verdict, overdraft, flags, slot_amount, slot_report_by, slot_expires_at = 0, 0, 0, 0, 0, 0
  if remembered then
    code = 1
  elseif kind == OBSERVE then
    if option > 0 and now + WATCH_LEASE > watched_until then watched_until, is_state_dirty = now + WATCH_LEASE, true end
    remembered = ''
  elseif kind == CREATE then
    account, refused = create(n)
  else
    refused = handlers[kind](account, n)
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
    stored_accounts[n], settings[n] = packed, sub(packed, MOVING_BYTES + 1)
    dirty_accounts[n] = true
  end
  if not remembered then
    if flags % 2 == 1 or floor(flags / RESERVE_DECLINED) % 2 == 1 then
      remembered = pack(REMEMBERED_LONG_FORMAT, fingerprint, kind, verdict, flags, 0, amount_decided, overdraft,
        verdict == DONE and own_sequence or 0, slot_amount, slot_report_by, slot_expires_at)
    else
      remembered = pack(REMEMBERED_FORMAT, fingerprint, kind, verdict, flags, 0, amount_decided, overdraft,
        verdict == DONE and own_sequence or 0)
    end
    requests[request] = remembered
    dirty_requests[request] = true
  end
  return code, remembered, packed
end

local o, n, extra = 1, nil, nil
for _ = 1, command_count do
  kind, n, request, fingerprint, mantissa, scale, option, extra, rest, batch_at = unpack_struct(COMMAND_FORMAT, batch, batch_at)
  local account, is_decided = accounts[n], false
  -- The straight way of the most frequent command by far: a direct charge of usage, within usable credit, on an active account whose
  -- bill is open and not due. It is the same decision as in charging.lua; whatever is unusual goes there.
  if kind == DEBIT and option == PLAIN_DEBIT and extra == '' and account and not requests[request] and account[STATUS] == ACTIVE
    and account[PERIOD_END] > now and scale <= account[DECIMALS] then
    local amount = mantissa * powers[account[DECIMALS] - scale]
    local balance, unbilled, reserved, limit = account[BALANCE], account[UNBILLED], account[RESERVED], account[PERMANENT]
    if now < account[TEMPORARY_UNTIL] and account[TEMPORARY] > limit then limit = account[TEMPORARY] end
    local mode, entry_kind, usable_credit = account[MODE], CHARGED_BALANCE, nil
    if mode == PREPAID then
      usable_credit = balance + limit - reserved
      balance = balance - amount
    else
      usable_credit = limit + (balance > 0 and balance or 0) - unbilled - reserved
      entry_kind, unbilled = CHARGED_UNBILLED, unbilled + amount
    end
    if amount <= usable_credit and amount <= MAX_UNITS and is_within_range(balance, unbilled, reserved) then
      sequence = sequence + 1
      local own = account[SEQUENCE] + 1
      account[BALANCE], account[UNBILLED], account[SEQUENCE] = balance, unbilled, own
      entries[entry_count + 1] = pack(ENTRY_FORMAT, entry_kind, mode, account[OPEN_BILL], own, amount, balance, unbilled, reserved)
      entries[entry_count + 2] = rest
      entry_count = entry_count + 2
      local remembered = pack(REMEMBERED_FORMAT, fingerprint, DEBIT, DONE, 0, 0, amount, 0, sequence)
      local packed = pack(MOVING_FORMAT, balance, unbilled, reserved, own) .. settings[n]
      requests[request], dirty_requests[request] = remembered, true
      stored_accounts[n], dirty_accounts[n] = packed, true
      out[o + 1], out[o + 2], out[o + 3] = 0, remembered, packed
      is_decided = true
    end
  end
  if not is_decided then
    local code, remembered, packed = step(n, extra)
    out[o + 1], out[o + 2], out[o + 3] = code, remembered or '', packed or ''
  end
  o = o + 3
end
