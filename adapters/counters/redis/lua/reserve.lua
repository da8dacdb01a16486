-- IN: now, member, hold, lease, number of caller's claims, numbers of each candidate's claims, claims.
local missing = unready(IN[2])
if missing then
  return missing
end
expire(100)
local id, lease, own, counts, claims = IN[3], IN[4], IN[5], IN[6], IN[7]
local hold = hold_of(id)
if hold then
  return hold[1] == GONE and {5, NOW} or granted(hold[4] or 0, hold[3], 1)
end
local parts, chosen = {}, 0
local refused = take_all(claims, 1, own * 7, parts)
if refused then
  return refused
end
if #counts > 0 then
  local first, soonest = own * 7 + 1, nil
  chosen = nil
  for index, count in ipairs(counts) do
    refused = take_all(claims, first, first + count * 7 - 1, parts)
    if not refused then
      chosen = index - 1
      break
    end
    if refused[1] == 2 then
      return refused
    end
    local when = refused[6] == -1 and NEVER or refused[6]
    if not soonest or when < soonest then
      soonest, IN[8] = when, refused
    end
    first = first + count * 7
  end
  if not chosen then
    return IN[8]
  end
end
mark(parts, 1)
save()
keep_hold(id, {OPEN, 0, parts, chosen})
redis.call('ZADD', P .. 'l', NOW + lease, id)
return granted(chosen, parts, 1)
