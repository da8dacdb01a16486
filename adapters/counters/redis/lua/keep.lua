-- IN: now, member, lease, holds to lease anew, holds to look for, claims of 0 to look at. Answers: now, members, places of holds
-- that are not open, and used, held and reset of each counter.
if redis.call('HEXISTS', P .. 'epoch', 'm:' .. IN[2]) == 0 then
  return {3, NOW}
end
redis.call('ZADD', P .. 'a', NOW, IN[2])
redis.call('ZREMRANGEBYSCORE', P .. 'a', '-inf', NOW - 60000000)
expire(1000)
local lost, counts = {}, {}
for place, id in ipairs(IN[4]) do
  local hold = hold_of(id)
  if hold and hold[1] == OPEN then
    redis.call('ZADD', P .. 'l', NOW + IN[3], id)
  else
    lost[#lost + 1] = place - 1
  end
end
for place, id in ipairs(IN[5]) do
  local hold = hold_of(id)
  if not hold or hold[1] ~= OPEN then
    lost[#lost + 1] = place - 1
  end
end
local claims = IN[6]
for at = 1, #claims, 7 do
  local a = claims[at + 1]
  local known = load(claims[at]) or redis.call('EXISTS', P .. 'b:' .. claims[at]) == 1
  local tally = open(claims, at, false, true)
  local used, held, reset = 0, 0, -1
  if tally then
    if not (a == FIXED and counted(tally) == 0) then
      if a == BUCKET then
        drain(tally, claims[at + 2], NOW)
      elseif a == SLIDING then
        leave(tally, NOW)
      end
      used, held, reset = tally[3], a == BUCKET and 0 or tally[4], fits_at(tally, 0, claims[at + 2])
    end
  end
  counts[#counts + 1] = used
  counts[#counts + 1] = held
  counts[#counts + 1] = reset
  counts[#counts + 1] = known and 1 or 0
end
return {0, NOW, redis.call('ZRANGE', P .. 'a', 0, -1), lost, counts}
