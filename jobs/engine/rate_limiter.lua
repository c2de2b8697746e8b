-- Takes one call of a key's if there is room, or says how long to wait; see jobs/policy/rates.py, whose names
-- these are. Counts are lists of part, calls, part, calls, ..., the oldest first.
-- Put in front of it: PARTS, and the time in milliseconds as now.
-- KEYS: the ledger.
-- ARGV: 1 for a caller who is ahead, else 0; then limit, length and spacing of each window, the shortest first.
-- Returns milliseconds.
local ahead = ARGV[1] == "1"
local windows, spacing, longest = {}, math.huge, 0
for i = 2, #ARGV, 3 do
  local length = tonumber(ARGV[i + 1])
  windows[#windows + 1] = {limit = tonumber(ARGV[i]), length = length, part = length / PARTS}
  spacing = math.min(spacing, tonumber(ARGV[i + 2]))
  longest = math.max(longest, length + length / PARTS)
end
local shortest = windows[1].length

local function part_of(at, window)
  return (at - at % window.part) / window.part
end

local function wait_after(counts, at)
  local wait = 0
  for w, window in ipairs(windows) do
    local parts, oldest, used = counts[w], part_of(at, window) - PARTS, 0
    for i = 1, #parts, 2 do
      if parts[i] >= oldest then used = used + parts[i + 1] end
    end
    for i = 1, #parts, 2 do
      if used < window.limit then break end
      if parts[i] >= oldest then
        used = used - parts[i + 1]
        wait = math.max(wait, (parts[i] + PARTS + 1) * window.part - at)
      end
    end
  end
  return wait
end

local function count(counts, at)
  local counted = {}
  for w, window in ipairs(windows) do
    local parts, current, kept = counts[w], part_of(at, window), {}
    for i = 1, #parts, 2 do
      if parts[i] >= current - PARTS then
        kept[#kept + 1] = parts[i]
        kept[#kept + 1] = parts[i + 1]
      end
    end
    if kept[#kept - 1] == current then
      kept[#kept] = kept[#kept] + 1
    else
      kept[#kept + 1] = current
      kept[#kept + 1] = 1
    end
    counted[w] = kept
  end
  return counted
end

local function empty()
  local done = {}
  for w = 1, #windows do done[w] = {} end
  return {now = 0, came = 0, done = done, ahead = {last = 0}, new = {last = 0}}
end

local stored = redis.call("GET", KEYS[1])
local ledger = stored and cmsgpack.unpack(stored) or empty()
if ledger.now > now + shortest then ledger = empty() end
now = math.max(now, ledger.now)
ledger.now = now
local since = now - 2 * shortest
if ledger.came < since and wait_after(ledger.done, since) == 0 then
  ledger.ahead, ledger.new = {last = 0}, {last = 0}
end
local last = math.max(ledger.ahead.last, ledger.new.last)
if ahead or last <= now then ledger.came = now end
local wait = wait_after(ledger.done, now)
if wait == 0 and (ahead or last <= now) then
  ledger.done = count(ledger.done, now)
else
  local line = ahead and ledger.ahead or ledger.new
  local counts = line.last > now and line.counts or ledger.done
  local turn = math.max(now + wait, (ahead and ledger.ahead.last or last) + spacing)
  turn = turn + wait_after(counts, turn)
  line.last, line.counts = turn, count(counts, turn)
  wait = turn - now
end
for _, line in ipairs({ledger.ahead, ledger.new}) do
  if line.last <= now then line.counts = nil end
end
last = math.max(now, ledger.ahead.last, ledger.new.last)
redis.call("SET", KEYS[1], cmsgpack.pack(ledger), "PX", last - now + longest)
return wait
