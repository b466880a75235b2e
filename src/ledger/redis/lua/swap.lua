#!lua
-- Puts one text in the place of another, unless there is a third. Returns whether it is there now. KEYS: its key. ARGV: both; nothing for none.
local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] and found ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
