-- IN: now, member, endings; an ending is {hold, way, amounts, claims}. SETTLED and REPLAYED end what is there, the latter with
-- every amount named; CANCELLED ends also what may yet come; CHARGED counts, outside of any limit, the claims of a hold that may
-- not be there, each in the window in which it was reckoned.
local SETTLED, CANCELLED, CHARGED, REPLAYED = 0, 1, 2, 3
if redis.call('HEXISTS', P .. 'epoch', 'm:' .. IN[2]) == 0 then
  return {3, NOW}
end
expire(100)
for _, ending in ipairs(IN[3]) do
  local id, way = ending[1], ending[2]
  local hold = hold_of(id)
  if hold and hold[1] ~= GONE then
    finish(hold, ending[3], way == REPLAYED)
    redis.call('DEL', P .. 'h:' .. id)
    redis.call('ZREM', P .. 'l', id)
  end
  if way == CHARGED and (not hold or hold[1] ~= GONE) then
    local claims = ending[4]
    for at = 1, #claims, 7 do
      local tally = claims[at + 1] ~= LEASE and open(claims, at, true, true)
      if tally then
        local part = take(tally, claims[at], claims[at + 6], claims[at + 2], true)
        turn(tally, part, part[3], part[3])
        changed[claims[at]] = true
      end
    end
  end
  if way == CANCELLED or way == CHARGED then
    keep_hold(id, {GONE, 0, {}})
  end
end
save()
return {0, NOW}
