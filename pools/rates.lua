-- Token buckets, hourly limits and the count of recent use, one string per key. Driven by pools/rates.py, behind
-- pools/clock.lua.
--
--   KEYS     the clock, then the keys of the buckets
--   ARGV[2]  't' take, 'r' return, 'o' observe
--   ARGV[3]  take: per key n, per_second, per_hour, burst, ahead ('<I4dI4I4I4'); return: per key n ('<I4')
--   answer   take: per key granted, seconds until the next one ('<If'); observe: per key per second ('<f')
--
-- A string is HEAD, and RING behind it for a key with an hourly limit. RING: the number of the last part of an hour that
-- was written, then PARTS + 1 counts, that of part p at place p mod (PARTS + 1). An hourly limit counts the part that
-- runs and all of the PARTS before it, so never more than the limit falls into any 3600 seconds.

local HEAD, HEAD_SIZE = '<ddI4dI4i4', 36  -- tokens, at, burst, window since, used in it, used in the one before (-1: none)
local PART, PARTS = 180, 20
local RING = '<' .. string.rep('I4', PARTS + 2)
local WINDOW = 30
local KEEP, KEEP_HOURLY = 3600, 86400
local ALMOST = 1e-6
local ZEROS = {}
for place = 1, PARTS + 2 do ZEROS[place] = 0 end

local floor = math.floor
local now = clock()
local part = floor(now / PART)
local operation, packed = ARGV[2], ARGV[3]

local function window(since, used, before)
  local age = now - since
  if age >= 0 and age < WINDOW then return since, used, before end
  if age >= 0 and age < 2 * WINDOW then return since + WINDOW, 0, used end
  return now, 0, -1
end

-- The counts of the last hour, up to date, and their sum.
local function ring(state)
  if not state or #state == HEAD_SIZE then
    local fresh = {unpack(ZEROS)}
    fresh[1] = part
    return fresh, 0
  end
  local counts, sum = {struct_unpack(RING, state, HEAD_SIZE + 1)}, 0
  local last = counts[1]
  for old = math.max(last + 1, part - PARTS), part do counts[2 + old % (PARTS + 1)] = 0 end
  for place = 2, PARTS + 2 do sum = sum + counts[place] end
  if last > part then  -- the clock was lost: all of it counts as just used
    for place = 2, PARTS + 2 do counts[place] = 0 end
    counts[2 + part % (PARTS + 1)] = sum
  end
  counts[1] = part
  return counts, sum
end

-- Seconds until so many parts have left that `sum` is below `limit`.
local function hour_wait(counts, sum, limit)
  for old = part - PARTS, part do
    sum = sum - counts[2 + old % (PARTS + 1)]
    if sum < limit then return (old + PARTS + 1) * PART - now end
  end
  return PART
end

local function save(key, keep, tokens, burst, since, used, before, counts)
  local state = struct_pack(HEAD, tokens, now, burst, since, used, before)
  if counts then state = state .. struct_pack(RING, unpack(counts, 1, PARTS + 2)) end
  call('SET', key, state, 'EX', keep)
end

local function take(key, n, per_second, per_hour, burst, ahead)
  local state = call('GET', key)
  local tokens, at, since, used, before, counts, sum = burst, now, now, 0, -1, nil, 0
  if state then
    local _
    tokens, at, _, since, used, before = struct_unpack(HEAD, state)
    if now > at then tokens = tokens + (now - at) * per_second end
    if tokens > burst or per_second == 0 then tokens = burst end
    since, used, before = window(since, used, before)
  end
  local granted = n
  if per_second > 0 then granted = math.min(granted, math.max(floor(tokens + ahead + ALMOST), 0)) end
  if per_hour > 0 or state and #state > HEAD_SIZE then counts, sum = ring(state) end
  if per_hour > 0 then
    granted = math.min(granted, math.max(per_hour - sum, 0))
  end
  local wait = 0
  if per_second > 0 then
    tokens = tokens - granted
    if tokens < 1 - ALMOST then wait = (1 - tokens) / per_second end
  end
  if granted > 0 or at > now then  -- the latter after the clock was lost: time starts anew
    local keep = KEEP
    if per_second > 0 then keep = math.ceil(math.max(keep, 2 * burst / per_second)) end
    if counts then
      sum = sum + granted
      local place = 2 + part % (PARTS + 1)
      counts[place] = counts[place] + granted
      keep = math.max(keep, KEEP_HOURLY)
    end
    save(key, keep, tokens, burst, since, used + granted, before, counts)
  end
  if per_hour > 0 and sum >= per_hour then wait = math.max(wait, hour_wait(counts, sum, per_hour)) end
  return struct_pack('<If', granted, wait)
end

-- Tokens that were not used: back into the bucket, out of the counts; the newest parts of the hour first.
local function give_back(key, n)
  local state = call('GET', key)
  if not state then return end
  local tokens, at, burst, since, used, before = struct_unpack(HEAD, state)
  local counts
  if #state > HEAD_SIZE then
    local left = n
    counts = ring(state)
    for old = part, part - PARTS, -1 do
      local place = 2 + old % (PARTS + 1)
      local out = math.min(left, counts[place])
      counts[place], left = counts[place] - out, left - out
    end
  end
  since, used, before = window(since, used, before)
  if before > 0 and n > used then before = math.max(before - (n - used), 0) end
  local changed = struct_pack(HEAD, math.min(tokens + n, burst), at, burst, since, math.max(used - n, 0), before)
  if counts then changed = changed .. struct_pack(RING, unpack(counts, 1, PARTS + 2)) end
  call('SET', key, changed, 'KEEPTTL')
end

local function observe(key)
  local state = call('GET', key)
  if not state then return struct_pack('<f', 0) end
  local _, _, _, since, used, before = struct_unpack(HEAD, state)
  since, used, before = window(since, used, before)
  if before < 0 then return struct_pack('<f', used / math.max(now - since, 1)) end
  return struct_pack('<f', (used + before) / (WINDOW + now - since))
end

local answers, position = {}, 1
for index = 2, #KEYS do
  if operation == 't' then
    local n, per_second, per_hour, burst, ahead
    n, per_second, per_hour, burst, ahead, position = struct_unpack('<I4dI4I4I4', packed, position)
    answers[index - 1] = take(KEYS[index], n, per_second, per_hour, burst, ahead)
  elseif operation == 'r' then
    local n
    n, position = struct_unpack('<I4', packed, position)
    give_back(KEYS[index], n)
  else
    answers[index - 1] = observe(KEYS[index])
  end
end
return table.concat(answers)
