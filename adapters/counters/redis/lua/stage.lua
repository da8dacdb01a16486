-- IN: now, epoch, name of who brings in (`s:` a store, `j:` a member), token, number of this part counted from 1, whether it is the
-- last, the part {amounts {counter, until, amount}, holds {hold, lease, amounts, claims}}, positions {journal, first, second},
-- who holds the store's lock.
-- Parts count once all of them are there: whoever brings them in may die.
local key, name, token = P .. 'epoch', IN[3], IN[4]
if redis.call('HGET', key, 'id') ~= IN[2] then
  return {3, NOW}
end
local list = P .. 't:' .. name .. ':' .. token
if IN[5] == 1 then
  redis.call('DEL', list)
end
redis.call('RPUSH', list, cmsgpack.pack(IN[7]))
redis.call('PEXPIRE', list, KEPT)
if not IN[6] then
  return {0, NOW}
end
local state = redis.call('HGET', key, name)
if name:sub(1, 2) == 's:' then
  if not state or state:match('^L(.-):%d+$') ~= IN[9] then
    return {2, NOW}
  end
  for at = 1, #IN[8], 3 do
    redis.call('HSET', P .. 'p:' .. name:sub(3), IN[8][at], string.format('%.0f:%.0f', IN[8][at + 1], IN[8][at + 2]))
  end
elseif state then
  return {2, NOW}
end
redis.call('HSET', key, name, 'S' .. token)
return {0, NOW}
