/** Lua with which the scripts of several features begin. Each script touches keys of one slot only, so that it holds in cluster mode too. */

/** Clearing and invalidating take next to no memory, and are what a full Redis is in need of. */
export const ALSO_WHEN_FULL = '#!lua flags=allow-oom';

export const NOW = `
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local nowMs = math.floor(nowUs / 1000)`;

/**
 * The fencing number of the last writer. It is a time, so what is no number, or is of a day that has not come yet, is not
 * ours, and must not refuse all who write from now on.
 */
export const STORED_ORDER = `${NOW}
local function storedOrder(key)
  local order = tonumber(redis.call('GET', key) or '0')
  return order and order < nowUs + 86400000000 and order or 0
end`;

/** How many bytes the server may use; 0 where it has no limit, or does not tell. */
export const MAX_MEMORY = `
local function maxMemory()
  local memory = redis.pcall('INFO', 'memory')
  return type(memory) == 'string' and tonumber(string.match(memory, 'maxmemory:(%d+)')) or 0
end`;
