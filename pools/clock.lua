-- The clock that rates and leases count by; put before every other script of this folder.
--
-- Redis' own time, which all workers share, but a step of it opens no gate: the time that passed since the last call of
-- anybody is at most what the caller measured by its monotonic clock since its own last call, plus SLACK. Backward the
-- clock never goes. KEYS[1] holds what Redis' clock showed at the last call, what ours showed, and since when somebody
-- has called at least every GAP seconds; ARGV[1] is the caller's measure in seconds, negative when it has none.

local struct_pack, struct_unpack, call = struct.pack, struct.unpack, redis.call

local SLACK = 1
local GAP = 5

-- Returns now and the begin of unbroken calling, both in seconds.
local function clock()
  local parts = call('TIME')
  local shown = tonumber(parts[1]) + tonumber(parts[2]) / 1e6
  local measured = struct_unpack('<d', ARGV[1])
  local stored = call('GET', KEYS[1])
  local now, since = shown, shown
  if stored then
    local last, ours, begun = struct_unpack('<ddd', stored)
    local passed = shown - last
    if passed < 0 then passed = 0 end
    if measured >= 0 and passed > measured + SLACK then passed = measured + SLACK end
    now = ours + passed
    since = passed > GAP and now or begun
  end
  call('SET', KEYS[1], struct_pack('<ddd', shown, now, since))
  return now, since
end

