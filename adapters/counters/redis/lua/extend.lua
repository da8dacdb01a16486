-- IN: now, member, hold, number of the slice, claims.
local missing = unready(IN[2])
if missing then
  return missing
end
expire(100)
local hold = hold_of(IN[3])
if not hold or hold[1] ~= OPEN then
  return {5, NOW}
end
if IN[4] <= hold[2] then
  return {6, NOW}
end
local parts, first, claims = hold[3], #hold[3] + 1, IN[5]
local refused = take_all(claims, 1, #claims, parts)
if refused then
  return refused
end
mark(parts, first)
save()
hold[2] = IN[4]
keep_hold(IN[3], hold)
return granted(0, parts, first)
