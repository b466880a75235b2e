-- Command by command, in order: src/domain/rules.rs.

-- After a migration, for a while: whether version 2 made this fingerprint of the same command.
local function is_legacy(remembered)
  return now < legacy_until and sub(remembered, 1, 8) == sub(ARGV[5], 8 * place + 1, 8 * place + 8)
end

-- Decides on the current command. Returns the code, the remembered decision, the account to show.
step = function(n)
  if is_deferred and is_deferred[n] then
    if option >= HAS_EXTRA then batch_at = batch_at + 2 + unpack_struct('<I2', batch, batch_at) end
    return DEFERRED
  end
  local stored, remembered = accounts[n], request > 0 and requests[request]
  local first_sent_at, sent_currency
  original, first_sent_at, sent_currency, detail = 0, 0, 0, nil
  if option >= HAS_EXTRA then
    local extra
    option = option - HAS_EXTRA
    extra, batch_at = unpack_struct('<I2c0', batch, batch_at)
    local more = cmsgpack.unpack(extra)
    original, first_sent_at, sent_currency, detail = more[1], more[2], more[3], more[4]
  end
  local earlier = original > 0 and requests[original]
  if stored and not is_account(stored) or remembered and not is_remembered(remembered) or earlier and not is_remembered(earlier)
    or is_damaged[original] or is_damaged[request] then return STORE_CORRUPT end
  local account = stored and { unpack_struct(ACCOUNT_FORMAT, stored) }
  if remembered and sub(remembered, 1, 8) ~= fingerprint and not is_legacy(remembered) then return REQUEST_ID_REUSED end
  if not remembered then
    if IS_READING and kind ~= OBSERVE then return STORE_FULL end
    if kind == AUTHORIZE and reservations[request] then return REQUEST_ID_REUSED end
    if first_sent_at > 0 and now - first_sent_at > window then return REQUEST_TOO_OLD end
    if first_sent_at - now > MAX_SENT_AHEAD then return SENT_IN_FUTURE end
    if kind == CREATE and account then return ACCOUNT_EXISTS end
  end
  if not account and (remembered or kind ~= CREATE) then return ACCOUNT_NOT_FOUND end
  if not remembered and account and sent_currency > 0 and sent_currency ~= account[CURRENCY] then return CURRENCY_MISMATCH end

  -- A close that is due becomes real only with an accepted command.
  local entries_before, sequence_before, is_closed = entry_count, sequence, false
  closed_bill = 0
  if account and account[PERIOD_END] ~= 0 and account[PERIOD_END] <= now then
    is_closed = true
    closed_bill, closed_sum = account[OPEN_BILL], account[UNBILLED]
    cut_bill(PERIOD_CLOSED, account, account[PERIOD_END])
  end

  local refused, code = nil, 0
  local own_sequence = sequence + 1
  verdict, second_amount, charged_kind, flags, slot_amount, slot_report_by, slot_expires_at = 0, 0, 0, 0, 0, 0, 0
  if remembered then
    code = 1
  elseif kind == OBSERVE then
    if option > 0 and now + WATCH_LEASE > watched_until then watched_until, is_state_dirty = now + WATCH_LEASE, true end
    remembered = ''
  elseif kind == CLOSE_PERIOD then
    if is_closed then verdict = DONE end
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
  end
  local packed = stored
  if verdict == DONE or is_closed then packed = pack(ACCOUNT_FORMAT, unpack(account, 1, ACCOUNT_FIELDS)) end
  if verdict == DONE then accounts[n], dirty_accounts[n] = packed, true end
  if not remembered then
    local more = ''
    if charged_kind > 0 then flags, more = flags + HAS_CHARGED, pack('<BI4', charged_kind, charged_bill) end
    if second_amount ~= 0 then flags, more = flags + SECOND_AMOUNT, more .. pack('<i7', second_amount) end
    if flags % 2 == 1 or floor(flags / RESERVE_DECLINED) % 2 == 1 then
      more = more .. pack('<i7i7i7', slot_amount, slot_report_by, slot_expires_at)
    end
    remembered = pack(REMEMBERED_FORMAT, fingerprint, kind, verdict, flags, 0, amount_decided, verdict == DONE and own_sequence or 0) .. more
    requests[request] = remembered
    dirty_requests[request] = true
  end
  return code, remembered, packed
end

