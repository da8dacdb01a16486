-- Holds: {state, slices, parts} under their call and attempt, by the time their leases run out in `l`. One that ran out
-- counts as used in full until its settle arrives; one that was given up before it was granted is GONE, so that it is not.
local OPEN, ESTIMATED, GONE = 0, 1, 2
local KEPT = 3600000

local function hold_of(id)
  local text = redis.call('GET', P .. 'h:' .. id)
  return text and cmsgpack.unpack(text) or nil
end

local function keep_hold(id, hold)
  -- One that is open has an end: its lease. What it leaves is kept for whoever is late.
  if hold[1] == OPEN then
    redis.call('SET', P .. 'h:' .. id, cmsgpack.pack(hold))
  else
    redis.call('SET', P .. 'h:' .. id, cmsgpack.pack(hold), 'PX', KEPT)
  end
end

-- Replace what a part counted that was restored by its end: its window may have been opened since, or not yet.
local function replace_restored(part, actual)
  local id, ends, more = part[1], part[4], actual - part[3]
  local tally = load(id)
  if not tally then
    if redis.call('HEXISTS', P .. 'b:' .. id, string.format('%.0f', ends)) == 1 then
      redis.call('HINCRBY', P .. 'b:' .. id, string.format('%.0f', ends), string.format('%.0f', more))
    end
    return
  end
  if tally[1] == SLIDING then
    for _, share in ipairs(tally[6][2]) do
      if share[1] == ends then
        share[2], tally[3] = share[2] + more, tally[3] + more
        break
      end
    end
  elseif tally[1] == BUCKET then
    tally[6][2] = math.max(0, tally[6][2] + more)
  elseif ends > NOW then
    -- It was added to the window that was open, whenever that ends: what ends later is in no window of before.
    tally[3] = math.max(0, tally[3] + more)
  end
  changed[id] = true
end

-- Turn a hold's parts into what was used by counter, filling the first first; what is not named was used as held, or, where
-- `named` says that all that was used is named, not at all.
local function finish(hold, amounts, named)
  local last, rest = {}, {}
  for at, part in ipairs(hold[3]) do
    last[part[1]] = at
  end
  for at = 1, #amounts, 2 do
    rest[amounts[at]] = math.max(0, amounts[at + 1])
  end
  for at, part in ipairs(hold[3]) do
    local id, actual = part[1], named and 0 or part[3]
    if rest[id] then
      if last[id] ~= at then
        actual = math.min(part[3], rest[id])
      else
        actual = rest[id]
      end
      rest[id] = rest[id] - actual
    end
    if part[2] < 0 then
      replace_restored(part, actual)
    else
      local tally = load(id)
      if tally and tally[5] == part[2] then
        turn(tally, part, hold[1] == OPEN and part[3] or 0, actual)
        changed[id] = true
      end
    end
  end
end

-- Settle, at what they held, the holds whose leases ran out; returns how many.
local function expire(most)
  local over = redis.call('ZRANGEBYSCORE', P .. 'l', '-inf', NOW, 'LIMIT', 0, most)
  for _, id in ipairs(over) do
    local hold = hold_of(id)
    if hold and hold[1] == OPEN then
      finish(hold, {})
      hold[1] = ESTIMATED
      keep_hold(id, hold)
    end
    redis.call('ZREM', P .. 'l', id)
  end
  if #over > 0 then
    save()
  end
  return #over
end

-- Take claims from `first` to `last`, adding their parts, or leave everything as it was and say where it stopped.
local function take_all(claims, first, last, parts)
  local start = #parts
  for at = first, last, 7 do
    local id, limit = claims[at], claims[at + 2]
    local tally, stale = open(claims, at, true)
    local part = tally and take(tally, id, claims[at + 6], limit)
    if not part then
      for place = #parts, start + 1, -1 do
        undo(tallies[parts[place][1]], parts[place])
        parts[place] = nil
      end
      if not tally then
        return {2, NOW, id, stale}
      end
      if tally[1] == BUCKET then
        drain(tally, limit, NOW)
      end
      return {1, NOW, at, tally[3], tally[1] == BUCKET and 0 or tally[4], fits_at(tally, claims[at + 6], limit)}
    end
    parts[#parts + 1] = part
  end
  return nil
end

-- Answer with what is used and held of each part's counter, and until when it counts.
local function granted(candidate, parts, first)
  local answer = {0, NOW, candidate}
  for at = first, #parts do
    local part = parts[at]
    local tally = load(part[1])
    if tally and tally[5] == part[2] then
      answer[#answer + 1] = tally[3]
      answer[#answer + 1] = tally[1] == BUCKET and 0 or tally[4]
      answer[#answer + 1] = until_of(tally, part)
    else
      answer[#answer + 1] = 0
      answer[#answer + 1] = 0
      answer[#answer + 1] = part[2] < 0 and part[4] or NOW
    end
  end
  return answer
end

local function mark(parts, first)
  for at = first, #parts do
    changed[parts[at][1]] = true
  end
end

-- Say that this member has not yet brought in what it and its store have counted (3), or that others are still to do so (4).
local function unready(member)
  local known = redis.call('HMGET', P .. 'epoch', 'm:' .. member, 'ready')
  if not known[1] then
    return {3, NOW}
  end
  if tonumber(known[2]) > NOW then
    return {4, NOW}
  end
  return nil
end
