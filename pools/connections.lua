-- Who holds how many connections of a key, and who waits for one. Driven by pools/connections.py, behind pools/clock.lua.
--
--   KEYS     the clock, then the keys
--   ARGV[2]  eight bytes that name the process
--   ARGV[3]  per key: connections it holds, more it wants now, limit over all processes ('<I2I2I2')
--   ARGV[4]  seconds that a lease lives without being renewed ('<d')
--   answer   per key: granted now, to be ended for others ('<I2I2')
--
-- What a process says it holds is true: a call renews its leases, gives back what it no longer counts, and restores
-- what a Redis that lost its data has forgotten. A key is a string of ENTRY, one for each process that holds or waits.
-- After a time without any call (a new or wiped Redis, or one that was away) nobody knows who holds what until all have
-- called: for GRACE seconds a process gets its first connection of a key and no more.

-- 1 name, 2 held, 3 wants, 4 held until, 5 waits since, 6 waits until, 7 asked of others, 8 asked until, 9 holds since
local ENTRY, SIZE = '<c8I2I2dddI2dd', 54
local WAITS, ASKED, GRACE, TURN = 2, 3, 2, 1
local KEEP = 3600

local now, since = clock()
local name, packed = ARGV[2], ARGV[3]
local lease = struct_unpack('<d', ARGV[4])
local known = now - since >= GRACE

-- The entries of all processes that are alive, in their order; ours among them, new if need be; how many connections
-- the others hold, and how many those before us.
local function load(key)
  local entries, mine, before, others = {}, nil, 0, 0
  local state = call('GET', key) or ''
  for position = 1, #state, SIZE do
    local entry = {struct_unpack(ENTRY, state, position)}
    entry[10] = nil  -- where the next one begins
    if entry[4] < now then entry[2] = 0 end
    if entry[6] < now then entry[3] = 0 end
    if entry[8] < now then entry[7] = 0 end
    if entry[1] == name then
      mine, before = entry, others
      entries[#entries + 1] = entry
    elseif entry[2] > 0 or entry[3] > 0 then
      entries[#entries + 1] = entry
      others = others + entry[2]
    end
  end
  if not mine then
    mine, before = {name, 0, 0, 0, now, 0, 0, 0, now}, others
    entries[#entries + 1] = mine
  end
  return entries, mine, before, others
end

-- Free connections kept for processes that wait and hold fewer than `mine` would (or as many, and have waited longer).
local function reserved(entries, mine)
  local kept = 0
  for _, other in ipairs(entries) do
    if other ~= mine and other[3] > 0 then
      if other[2] < mine[2] then
        kept = kept + math.min(other[3], mine[2] + 1 - other[2])
      elseif other[2] == mine[2] and other[5] < mine[5] then
        kept = kept + 1
      end
    end
  end
  return kept
end

-- Also settles what others were asked for: whoever gets a connection, it was perhaps the one that was ended.
-- `own` are connections that it just closed itself, in its turn, and may open anew before others get any.
local function grant(entries, mine, want, free, own)
  local granted = 0
  while granted < want and free > 0 do
    if not known and mine[2] > 0 then break end
    if known and granted >= own and free <= reserved(entries, mine) then break end
    mine[2], granted, free = mine[2] + 1, granted + 1, free - 1
  end
  local unsettled = granted - math.min(granted, mine[7])
  mine[7] = mine[7] - (granted - unsettled)
  for _, other in ipairs(entries) do
    local settled = math.min(unsettled, other[7])
    other[7], unsettled = other[7] - settled, unsettled - settled
  end
  return granted
end

-- How many to end for those who wait: half the difference, or one when somebody has none at all and ours had its turn.
-- Only who holds the most is asked, and not twice for the same wish.
local function owed(entries, mine)
  local most, give = mine[2], 0
  for _, other in ipairs(entries) do
    if other[2] > most then return 0 end
  end
  for _, other in ipairs(entries) do
    local wish = other == mine and 0 or other[3] - other[7]
    if wish > 0 then
      local part = math.floor((mine[2] - give - other[2] - other[7]) / 2)
      if other[2] + other[7] == 0 and mine[2] - give > 0 and now - mine[9] >= TURN then part = math.max(part, 1) end
      part = math.max(math.min(part, wish), 0)
      if part > 0 then other[7], other[8], give = other[7] + part, now + ASKED, give + part end
    end
  end
  return give
end

local function save(key, entries)
  local strings = {}
  for _, entry in ipairs(entries) do
    if entry[2] > 0 or entry[3] > 0 then strings[#strings + 1] = struct_pack(ENTRY, unpack(entry)) end
  end
  if #strings > 0 then
    call('SET', key, table.concat(strings), 'EX', KEEP)
  else
    call('DEL', key)
  end
end

local function sync(key, held, want, limit)
  local entries, mine, before, others = load(key)
  if want > 0 and mine[3] == 0 then mine[5] = now end
  if mine[2] == 0 then mine[9] = now end
  local own = now - mine[9] < TURN and mine[2] - held or 0
  for _, other in ipairs(entries) do own = own - other[7] end  -- those were ended for others
  mine[2], mine[4] = held, now + lease
  local free = limit - others - held
  local granted = grant(entries, mine, want, free, own)
  mine[3], mine[6] = want - granted, now + WAITS
  local give = 0
  if free < 0 then
    give = math.max(math.min(before + held - limit, held), 0)
  elseif free == granted then
    give = owed(entries, mine)
  end
  save(key, entries)
  return struct_pack('<I2I2', granted, give)
end

local answers, position = {}, 1
for index = 2, #KEYS do
  local held, want, limit
  held, want, limit, position = struct_unpack('<I2I2I2', packed, position)
  answers[index - 1] = sync(KEYS[index], held, want, limit)
end
return table.concat(answers)
