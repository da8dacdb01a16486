-- Windows, buckets and drains of counters, as engine/tallies.py has them; instants and lengths are in microseconds.
-- A tally is {algorithm, end, used, held, generation, more}: `more` is {length, shares} of a sliding window, a share being
-- {end, used, held}, and {length, level, rest, since, fallen, rest fallen, limit} of a token bucket, whose level is a whole
-- number of units and a rest in units / length, so that nothing is rounded. A part {counter, generation, amount, where, rest}
-- is what one claim holds of a tally; that of a generation that is over changes nothing.
local P = KEYS[1]
local IN = cmsgpack.unpack(ARGV[1])
local NOW = IN[1]
if NOW == 0 then
  local at = redis.call('TIME')
  NOW = at[1] * 1000000 + at[2]
end
local CALENDAR, FIXED, TOTAL, LEASE, SLIDING, BUCKET = 0, 1, 2, 3, 4, 5
local NEVER, MOST, DAY = 9007199254740991, 9007199254740992, 86400000
local tallies, changed, recalled = {}, {}, {}
local floor, fmod = math.floor, math.fmod

local function load(id)
  local tally = tallies[id]
  if tally == nil then
    local text = redis.call('GET', P .. 'c:' .. id)
    tally = text and cmsgpack.unpack(text) or false
    tallies[id] = tally
  end
  return tally
end

-- Every key ends a day after what it counts, but a sum that never ends: of those there are as many as such budgets.
local function save()
  for id in pairs(changed) do
    local tally, key = tallies[id], P .. 'c:' .. id
    local a, last = tally[1], tally[2]
    if a == SLIDING then
      local shares = tally[6][2]
      last = #shares > 0 and shares[#shares][1] or NOW
    elseif a == BUCKET then
      last = NOW + 2 * tally[6][1]
    elseif a == LEASE then
      last = NOW + 6 * DAY * 1000
    end
    if a == TOTAL then
      redis.call('SET', key, cmsgpack.pack(tally))
    else
      redis.call('SET', key, cmsgpack.pack(tally), 'PX', floor((last > NOW and last - NOW or 0) / 1000) + DAY)
    end
  end
  for id in pairs(recalled) do
    redis.call('DEL', P .. 'b:' .. id)
  end
  changed, recalled = {}, {}
end

-- a * b / m as a whole number and the rest, exactly, for a < m < 2^49 and b < 2^53.
local function share_of(a, b, m)
  local bits, size = 0, 1
  while size < m do
    bits, size = bits + 1, size * 2
  end
  local step = 52 - bits
  local base, whole, rest = 2 ^ step, 0, 0
  for place = math.ceil(53 / step) - 1, 0, -1 do
    local sum = rest * base + a * fmod(floor(b / base ^ place), base)
    rest = fmod(sum, m)
    whole = whole * base + (sum - rest) / m
  end
  return whole, rest
end

-- Let out of a token bucket what has run out until an instant.
local function drain(tally, limit, now)
  local more = tally[6]
  local length = more[1]
  more[7] = limit
  if now > more[4] then
    local out, rest
    local passed = now - more[4]
    more[4] = now
    if limit >= MOST then
      out, rest = MOST, 0
    else
      local turns = floor(passed / length)
      out, rest = share_of(passed - turns * length, limit, length)
      out = out + turns * limit
    end
    -- What is marked never lies above the level, so that no more has fallen than there was.
    if out > more[2] or (out == more[2] and rest >= more[3]) then
      out, rest = more[2], more[3]
    end
    more[2], more[3] = more[2] - out, more[3] - rest
    if more[3] < 0 then
      more[2], more[3] = more[2] - 1, more[3] + length
    end
    more[5], more[6] = more[5] + out, more[6] + rest
    if more[6] >= length then
      more[5], more[6] = more[5] + 1, more[6] - length
    end
  end
  tally[3] = more[2] + (more[3] > 0 and 1 or 0)
end

-- Let buckets go that have left a sliding window.
local function leave(tally, now)
  local shares = tally[6][2]
  while shares[1] and shares[1][1] <= now do
    local gone = table.remove(shares, 1)
    tally[3], tally[4] = tally[3] - gone[2], tally[4] - gone[3]
  end
end

local function grain_of(length)
  return math.ceil(length / 60)
end

-- Return the bucket that is filled now.
local function present(tally)
  local length, shares = tally[6][1], tally[6][2]
  local grain = grain_of(length)
  local ends = (floor(NOW / grain) + 1) * grain + length
  if not shares[1] or shares[#shares][1] < ends then
    shares[#shares + 1] = {ends, 0, 0}
  end
  return shares[#shares]
end

local function counted(tally)
  local a = tally[1]
  if a == SLIDING then
    leave(tally, NOW)
  elseif a == BUCKET then
    drain(tally, tally[6][7], NOW)
    return tally[3]
  elseif tally[2] <= NOW then
    return 0
  end
  return tally[3] + tally[4]
end

-- Add to a tally what was used before it began: `amounts` are {until, amount}, the earliest first.
local function recall(tally, amounts)
  local a, more = tally[1], tally[6]
  if a == BUCKET then
    local length, limit = more[1], more[7]
    for _, one in ipairs(amounts) do
      more[4] = math.min(more[4], one[1] - length)
    end
    for _, one in ipairs(amounts) do
      drain(tally, limit, one[1] - length)
      more[2] = more[2] + one[2]
    end
    drain(tally, limit, NOW)
    return
  end
  for _, one in ipairs(amounts) do
    tally[3] = tally[3] + one[2]
    if a == SLIDING then
      local share
      for _, other in ipairs(more[2]) do
        share = other[1] == one[1] and other or share
      end
      if share then
        share[2] = share[2] + one[2]
      else
        table.insert(more[2], {one[1], one[2], 0})
      end
    elseif a == CALENDAR or a == FIXED then
      tally[2] = one[1]
    end
  end
  if a == SLIDING then
    table.sort(more[2], function(one, other) return one[1] < other[1] end)
  end
end

local function before(id)
  local found, amounts = redis.call('HGETALL', P .. 'b:' .. id), {}
  for at = 1, #found, 2 do
    local ends, amount = tonumber(found[at]), tonumber(found[at + 1])
    if ends > NOW and amount ~= 0 then
      amounts[#amounts + 1] = {ends, amount}
    end
  end
  table.sort(amounts, function(one, other) return one[1] < other[1] end)
  return amounts, #found > 0
end

-- Return a counter's present tally, opening a window if need be. A claim is {id, algorithm, limit, length, end, after, amount}
-- in a flat list: `end` is that of the calendar window that is open by the caller's reckoning, `after` the end of the one before.
-- Returns nil, and the end of the last window, where the reckoning is out of date; `anyway` takes the window as it was reckoned.
local function open(claims, at, renew, anyway)
  local id, a, limit, length = claims[at], claims[at + 1], claims[at + 2], claims[at + 3]
  local tally = load(id)
  if tally and tally[1] == a and tally[2] > NOW then
    -- A fixed window begins with the first call that counts.
    if not (renew and a == FIXED and tally[3] == 0 and tally[4] == 0) then
      return tally
    end
  end
  local ends = a == FIXED and NOW + length or NEVER
  if a == CALENDAR then
    ends = claims[at + 4]
    local last = tally and tally[2] or 0
    if ends <= NOW or (not anyway and last ~= 0 and last ~= claims[at + 5]) then
      return nil, last
    end
  end
  local carried = tally and counted(tally) or 0
  local fresh = {a, ends, 0, 0, redis.call('INCR', P .. 'g'), 0}
  if a == SLIDING then
    fresh[6] = {length, {}}
  elseif a == BUCKET then
    fresh[6] = {length, 0, 0, NOW, 0, 0, limit}
  end
  if carried > 0 then
    fresh[3] = carried
    if a == SLIDING then
      local share = present(fresh)
      share[2] = carried
    elseif a == BUCKET then
      fresh[6][2] = carried
    end
  end
  local amounts, any = before(id)
  if any then
    recall(fresh, amounts)
    recalled[id], changed[id] = true, true
  end
  tallies[id] = fresh
  return fresh
end

-- Hold an amount if it fits, or `anyway`; returns the part, or nil and nothing is changed.
local function take(tally, id, amount, limit, anyway)
  local a = tally[1]
  if a == BUCKET then
    drain(tally, limit, NOW)
    local more = tally[6]
    local wanted = more[2] + amount
    if not anyway and (wanted > limit or (wanted == limit and more[3] > 0)) then
      return nil
    end
    more[2] = wanted
    tally[3] = wanted + (more[3] > 0 and 1 or 0)
    local mark, rest = wanted + more[5], more[3] + more[6]
    if rest >= more[1] then
      mark, rest = mark + 1, rest - more[1]
    end
    return {id, tally[5], amount, mark, rest}
  end
  if a == SLIDING then
    leave(tally, NOW)
  end
  if not anyway and tally[3] + tally[4] + amount > limit then
    return nil
  end
  tally[4] = tally[4] + amount
  if a ~= SLIDING then
    return {id, tally[5], amount}
  end
  local share = present(tally)
  share[3] = share[3] + amount
  return {id, tally[5], amount, share[1]}
end

-- Take back what the same step took.
local function undo(tally, part)
  if tally[1] == BUCKET then
    tally[6][2] = tally[6][2] - part[3]
    tally[3] = tally[3] - part[3]
    return
  end
  tally[4] = tally[4] - part[3]
  if tally[1] == SLIDING then
    for _, share in ipairs(tally[6][2]) do
      if share[1] == part[4] then
        share[3] = share[3] - part[3]
      end
    end
  end
end

-- Give back to a token bucket what is left of a part, at most `units`.
local function give_back(tally, part, units)
  local more = tally[6]
  local whole, rest = units, 0
  if more[2] < whole then
    whole, rest = more[2], more[3]
  end
  local left, left_rest = part[4] - more[5], part[5] - more[6]
  if left_rest < 0 then
    left, left_rest = left - 1, left_rest + more[1]
  end
  if left < 0 then
    return
  end
  if left < whole or (left == whole and left_rest < rest) then
    whole, rest = left, left_rest
  end
  more[2], more[3] = more[2] - whole, more[3] - rest
  if more[3] < 0 then
    more[2], more[3] = more[2] - 1, more[3] + more[1]
  end
  more[5], more[6] = more[5] + whole, more[6] + rest
  if more[6] >= more[1] then
    more[5], more[6] = more[5] + 1, more[6] - more[1]
  end
end

-- Turn a part into what was used; `held` is what of it counts as held, the rest as used already.
local function turn(tally, part, held, actual)
  local a, more = tally[1], actual - part[3]
  if a == BUCKET then
    if more > 0 then
      tally[6][2] = tally[6][2] + more
    elseif more < 0 then
      give_back(tally, part, -more)
    end
    tally[3] = tally[6][2] + (tally[6][3] > 0 and 1 or 0)
    return
  end
  local used = actual - (part[3] - held)
  if a == SLIDING then
    for _, share in ipairs(tally[6][2]) do
      if share[1] == part[4] then
        share[2], share[3] = share[2] + used, share[3] - held
        tally[3], tally[4] = tally[3] + used, tally[4] - held
        break
      end
    end
    return
  end
  tally[4] = tally[4] - held
  if a ~= LEASE then
    tally[3] = tally[3] + used
  end
end

-- Return when an amount will fit, or the most of it; -1 where time does not help.
local function fits_at(tally, amount, limit)
  local a = tally[1]
  if a == SLIDING then
    local rest, when = tally[3] + tally[4], NOW
    for _, share in ipairs(tally[6][2]) do
      if rest + amount <= limit then
        break
      end
      rest, when = rest - share[2] - share[3], share[1]
    end
    return when
  elseif a == BUCKET then
    if limit == 0 then
      return -1
    end
    local more = tally[6]
    local over = (more[2] + math.min(amount, limit) - limit) * more[1] + more[3]
    return NOW + math.max(0, math.ceil(over / limit))
  end
  return tally[2] == NEVER and -1 or tally[2]
end

-- Return from when on what is taken now no longer counts.
local function until_of(tally, part)
  local a = tally[1]
  if a == SLIDING then
    return part[4]
  elseif a == BUCKET then
    local grain = grain_of(tally[6][1])
    return math.ceil(NOW / grain) * grain + tally[6][1]
  end
  return tally[2]
end
