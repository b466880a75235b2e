#!lua
-- Puts pairs into a key of a partition that is being restored, unless another restoration has begun. Returns whether it did. KEYS: the
-- partition's settings, the key. ARGV: what this restoration has put there, the command, and what each call of it takes.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for place = 3, #ARGV, 2 do redis.call(ARGV[2], KEYS[2], ARGV[place], ARGV[place + 1]) end
return 1
