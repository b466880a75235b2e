#!lua flags=no-writes
-- Which keys of a partition are missing, and which hold something else than they must: a step that met such a one would be torn.
local missing, strange = {}, {}
local function look(command, keys, ...)
  for _, key in ipairs(keys) do
    local answer = redis.pcall(command, key, ...)
    if type(answer) == 'table' and answer.err then
      strange[#strange + 1] = key
    elseif redis.call('EXISTS', key) == 0 then
      missing[#missing + 1] = key
    end
  end
end
look('HLEN', { ACCOUNTS, PROFILES, RESERVATIONS, REQUESTS_0, REQUESTS_1, REFUNDS })
look('ZRANGE', { EXPIRIES, BY_ACCOUNT, NAMES }, 0, 0)
look('XRANGE', { JOURNAL }, '0-0', '0-0')
return { missing, strange }
