-- IN: now, member, store, journal, members that were there before this server forgot them, microseconds to wait for these, token,
-- microseconds that a lock holds, who holds it. Answers {way, now, epoch, ...}: 0 it is in, 1 it is to bring in its store, 2 another does,
-- 3 it is to bring in itself from a position, 5 parts of a name are to be counted.
local key, member, store = P .. 'epoch', IN[2], IN[3]
if redis.call('EXISTS', key) == 0 then
  redis.call('HSET', key, 'id', IN[7], 'ready', string.format('%.0f', NOW + IN[6]))
  for _, peer in ipairs(IN[5]) do
    redis.call('HSET', key, '?' .. peer, 1)
  end
end
local known = redis.call('HMGET', key, 'id', 'ready', 'm:' .. member, 's:' .. store, 'j:' .. member)
if known[3] then
  return {0, NOW, known[1]}
end
if tonumber(known[2]) > NOW then
  redis.call('HSET', key, '?' .. member, 1)
end
if known[5] then
  return {5, NOW, known[1], 'j:' .. member}
end
local state = known[4]
local holder, ends
if state then
  holder, ends = state:match('^L(.-):(%d+)$')
end
if not state or (holder and (holder == IN[9] or tonumber(ends) <= NOW)) then
  redis.call('HSET', key, 's:' .. store, string.format('L%s:%.0f', IN[9], NOW + IN[8]))
  return {1, NOW, known[1]}
elseif holder then
  return {2, NOW, known[1]}
elseif state:sub(1, 1) == 'S' then
  return {5, NOW, known[1], 's:' .. store}
end
local position = redis.call('HGET', P .. 'p:' .. store, IN[4])
if not position then
  return {3, NOW, known[1], 0, 0}
end
local first, second = position:match('^(%d+):(%d+)$')
return {3, NOW, known[1], tonumber(first), tonumber(second)}
