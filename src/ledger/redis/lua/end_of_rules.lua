
    end
    if kind ~= OBSERVE then is_deciding = true end
    local code, remembered, packed = step(n)
    if entry_count == entries_before then
      idle = idle or {}
      idle[command] = true
    end
    out[o + 1], out[o + 2], out[o + 3], out[o + 4] = place, code, remembered or '', packed or ''
    o = o + 4
  end
end
if entry then accounts[run_account], dirty_accounts[run_account] = sub(entry, -MOVING_BYTES) .. tail, true end

