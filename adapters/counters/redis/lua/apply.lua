-- IN: now, epoch, name of who brought in. Counts one part; answers 1 while more may be there.
local key, name = P .. 'epoch', IN[3]
local known = redis.call('HMGET', key, 'id', name)
if known[1] ~= IN[2] or not known[2] then
  return {3, NOW}
end
if known[2]:sub(1, 1) ~= 'S' then
  return {0, NOW}
end

local function restore(amounts)
  for at = 1, #amounts, 3 do
    local id, ends, amount = amounts[at], amounts[at + 1], amounts[at + 2]
    local tally = load(id)
    if ends > NOW and tally and tally[2] > NOW then
      -- A window that has begun meanwhile goes on to its own end.
      local last = tally[2]
      recall(tally, {{ends, amount}})
      tally[2] = math.max(last, tally[2])
      changed[id] = true
    elseif ends > NOW then
      local before = P .. 'b:' .. id
      local fresh = redis.call('EXISTS', before) == 0
      redis.call('HINCRBY', before, string.format('%.0f', ends), string.format('%.0f', amount))
      if ends == NEVER then
        redis.call('PERSIST', before)
      else
        local keep, left = floor((ends - NOW) / 1000) + DAY, redis.call('PTTL', before)
        if fresh or (left > 0 and left < keep) then
          redis.call('PEXPIRE', before, keep)
        end
      end
    end
  end
end

local text = redis.call('LPOP', P .. 't:' .. name .. ':' .. known[2]:sub(2))
if text then
  local part = cmsgpack.unpack(text)
  restore(part[1])
  for _, one in ipairs(part[2]) do
    local id, claims = one[1], one[4]
    if not hold_of(id) then
      local parts = {}
      for at = 1, #one[3], 3 do
        parts[#parts + 1] = {one[3][at], -1, one[3][at + 2], one[3][at + 1]}
      end
      restore(one[3])
      for at = 1, #claims, 7 do
        local tally = open(claims, at, true, true)
        parts[#parts + 1] = take(tally, claims[at], claims[at + 6], claims[at + 2], true)
        changed[claims[at]] = true
      end
      keep_hold(id, {OPEN, 0, parts})
      redis.call('ZADD', P .. 'l', NOW + one[2], id)
    end
  end
  save()
  return {1, NOW}
end
redis.call('HSET', key, name, 'D')
if name:sub(1, 2) == 'j:' then
  redis.call('HSET', key, 'm:' .. name:sub(3), 1)
  redis.call('HDEL', key, '?' .. name:sub(3))
end
for _, field in ipairs(redis.call('HKEYS', key)) do
  if field:sub(1, 1) == '?' then
    return {0, NOW}
  end
end
redis.call('HSET', key, 'ready', 0)
return {0, NOW}
