/** The Lua scripts that Redis runs for us: each touches keys of one slot only, so that it holds in cluster mode too. */
import type { Cluster, Redis, Result } from 'ioredis';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /**
     * Stores entries, each unless what is stored was read as late or later, or Redis' clock has passed `notAfterMs`, or the
     * id was invalidated at or after `sinceMs` and its tombstone is gone. The list of invalidated ids is the last key; in a
     * cluster, where it is of another slot, there is none, `sinceMs` is '', and the id is '' for one that was invalidated.
     * An entry is five arguments: its text, when it was read in µs, its time to live in ms, its id, and the token of the
     * lease in its place, or ''. Answers for each, in the keys' order: null or `replaced` when it wrote (the latter over
     * something that was no text), what is stored instead, or `late`.
     */
    putEntries(
      keyCount: number,
      ...keysNotAfterMsSinceMsAndEntries: (string | number)[]
    ): Result<(string | null)[], Context>;
    /**
     * Puts tombstones in the place of whatever is there, also when Redis is full; each is three arguments: its text, its
     * time in µs, its time to live in ms. One is as late as what it replaces, at least, so that it refuses what was read
     * with that.
     */
    putTombstones(
      keyCount: number,
      ...keysAndTombstones: (string | number)[]
    ): Result<(string | null)[], Context>;
    /** Deletes what is no tombstone, without which something older could be stored, and no lease. */
    dropValues(keyCount: number, ...keys: string[]): Result<unknown, Context>;
    /** Deletes `key` if it still holds `owner`; answers 1 or 0. */
    releaseIfOwner(key: string, owner: string): Result<number, Context>;
    /** Sets the time to live of `key` if it still holds `owner`; answers 1 or 0. */
    renewIfOwner(key: string, owner: string, ttlMs: number): Result<number, Context>;
    /**
     * Answers [generation, Redis' time in ms, whether all ids are told (1 or 0), how many schema versions, the schema
     * versions of which there may be entries…, ids invalidated at or after `sinceMs`…]; the generation is
     * `knownGeneration` at least. From now on, entries of `schemaVersion` may be there for `keptMs`.
     */
    checkGeneration(
      generationKey: string,
      invalidatedKey: string,
      schemaVersionsKey: string,
      knownGeneration: string,
      sinceMs: number,
      reportedMax: number,
      schemaVersion: string,
      keptMs: number,
    ): Result<(string | number)[], Context>;
    /** Begins a new generation (or the turn of a new owner), higher than any before, also than `knownGeneration`, and answers it. */
    raiseGeneration(generationKey: string, knownGeneration: string): Result<string, Context>;
    /**
     * Tells the other containers that `ids` were invalidated. Of more than `idsMax` the oldest are forgotten, and a check
     * from before them is told that it is not told all.
     */
    announceInvalidated(
      invalidatedKey: string,
      keepMs: number,
      idsMax: number,
      ...ids: string[]
    ): Result<number, Context>;
    /**
     * Adds increments to a hash of totals, once for each `flushId`, however often it is sent within `rememberedMs`; answers
     * 1 or 0.
     */
    addTotals(
      totalsKey: string,
      flushedKey: string,
      flushId: string,
      rememberedMs: number,
      ...fieldsAndIncrements: (string | number)[]
    ): Result<number, Context>;
    /**
     * Sets fields of a hash, and deletes those of the same metrics that are not given, unless that was done with a higher
     * `order` before; answers 1 or 0.
     */
    setGauges(
      gaugesKey: string,
      orderKey: string,
      order: number,
      ...fieldsAndValues: (string | number)[]
    ): Result<number, Context>;
    /**
     * Adds reads to a dataset's popularity. `beganAtMs` is when they were read, or '' for now; `offsetsMs` what their
     * number adds to it (`shared/warming/popularity.ts` says how). Forgotten are the least popular beyond `keysMax`, and
     * what was last read more than `rememberedMs` ago; answers how many are known then.
     */
    addReads(
      popularityKey: string,
      beganAtMs: number | '',
      halfLifeMs: number,
      keysMax: number,
      rememberedMs: number,
      ...keysAndOffsetsMs: (string | number)[]
    ): Result<number, Context>;
    /** Sets two texts of one warm-up unless a later one (by `order`) has set them; '' deletes. Answers 1 or 0. */
    setHotKeys(
      manifestKey: string,
      unfinishedKey: string,
      orderKey: string,
      order: number,
      manifest: string,
      unfinished: string,
    ): Result<number, Context>;
    /**
     * Counts a call of `subject` in the window that is open, or opens one of `windowMs`, unless they are `callsMax` already.
     * Answers how many calls they are with this one, in how many ms the window ends, and when, by Redis' clock in ms.
     */
    countCall(
      limitKey: string,
      subject: string,
      windowMs: number,
      callsMax: number,
    ): Result<[calls: number, endsInMs: number, endsAtMs: number], Context>;
    /** Takes back a call of the window that ends at `endsAtMs`, if it is still open; answers 1 or 0. */
    uncountCall(limitKey: string, subject: string, endsAtMs: number): Result<number, Context>;
    /**
     * Adds what was stored since the last call to each of the `ADMISSION_SHARES` (three numbers: its part of the server's
     * memory, its window in ms, the bytes), which all begin anew with a new generation, and notes keys as asked for (two positions each, below `SEEN_BITS`). Answers for
     * each share whether there is room for more, and of each key whether it was asked for before: 1 or 0.
     */
    admit(
      admissionKey: string,
      seenKey: string,
      otherSeenKey: string,
      generation: string,
      ...sharesAndPositions: number[]
    ): Result<number[], Context>;
    /** Keeps a warm-up's report, newest first by fencing number, at most `reportsMax`. */
    addReport(key: string, fence: number, report: string, reportsMax: number): Result<number, Context>;
  }
}

/** Begins what is in an entry's place while it is loaded. No entry begins so: 16 digits would follow. */
export const LEASE_PREFIX = 'l:';

/** Of what readers may store: for the first request, for what is asked for again, for what does not exist. */
export const ADMISSION_SHARES = 3;

/** Clearing and invalidating take next to no memory, and are what a full Redis is in need of. */
const ALSO_WHEN_FULL = '#!lua flags=allow-oom';

const NOW = `
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local nowMs = math.floor(nowUs / 1000)`;

/**
 * Never an older value over a newer one. An entry begins with its kind (1 character) and the time at which its database
 * read began (16 digits, µs). The interleaving that the first comparison closes, for a reader R, an owner U and a key k:
 *   1. R reads k's row from Postgres (old)      3. U invalidates k: a tombstone with the database's time
 *   2. U commits the new row                    4. R writes what it read in 1: refused here, because 1 < 3
 * Without it, R's old value would stay until its time to live ended. A tombstone ends as well, which is why there is a
 * second one: R is frozen after 1 and thawed when the tombstone of 3 is gone; then 4 comes after `notAfterMs`, which R
 * was given by Redis' own clock before it began to read.
 * And a full Redis may evict a tombstone. So where nothing is stored of an id that was invalidated since the check that
 * came before the load, nothing is stored; the list of these ids cannot be evicted alone, because it has no time to live,
 * and where it is gone all the same (its mark, the id '', is not there), that may be true of any id.
 * Where nothing is stored, one command finds that out and stores.
 * A lease in the entry's place is nothing to another load than its own. That one stores over it, since whatever is put there
 * later replaces the lease, and gives it back where it may not store.
 * A value that is no entry (cut short, of another type) has no time, or one far from Redis' own, and is replaced.
 */
const PUT_ENTRIES = `${NOW}
local isLate = nowMs > tonumber(ARGV[1])
local sinceMs = tonumber(ARGV[2])
local entryCount = (#ARGV - 2) / 5
local invalidatedMs
if sinceMs then
  local ids = { '' }
  for i = 1, entryCount do ids[i + 1] = ARGV[5 * i + 1] end
  invalidatedMs = redis.pcall('ZMSCORE', KEYS[#KEYS], unpack(ids))
end
local function isRecent(atMs) return atMs and tonumber(atMs) >= sinceMs end
local function mayBeOvertaken(i)
  if not sinceMs then return ARGV[5 * i + 1] == '' end
  return invalidatedMs.err or not invalidatedMs[1] or isRecent(invalidatedMs[1]) or isRecent(invalidatedMs[i + 1])
end
local function hasNoEntry(key)
  local start = redis.pcall('GETRANGE', key, 0, 1)
  return start == '' or start == '${LEASE_PREFIX}'
end
local function put(i)
  local key, entry, readAtUs, ttlMs, lease = KEYS[i], ARGV[5 * i - 2], ARGV[5 * i - 1], ARGV[5 * i], ARGV[5 * i + 2]
  if lease ~= '' and redis.pcall('GET', key) == lease then
    if not isLate and not mayBeOvertaken(i) then
      redis.call('SET', key, entry, 'PX', ttlMs)
      return false
    end
    redis.call('DEL', key)
    return 'late'
  end
  if mayBeOvertaken(i) and hasNoEntry(key) then return 'late' end
  if not isLate and redis.call('SET', key, entry, 'PX', ttlMs, 'NX') then return false end
  local head = redis.pcall('GETRANGE', key, 0, 16)
  if type(head) == 'string' and #head == 17 then
    local storedReadAtUs = tonumber(string.sub(head, 2))
    local isTime = storedReadAtUs and storedReadAtUs < nowUs + 86400000000
    if isTime and storedReadAtUs >= tonumber(readAtUs) then return redis.call('GET', key) end
  end
  if isLate then return 'late' end
  redis.call('SET', key, entry, 'PX', ttlMs)
  return type(head) == 'table' and 'replaced'
end
local outcomes = {}
for i = 1, entryCount do outcomes[i] = put(i) end
return outcomes`;

const DROP_VALUES = `
for _, key in ipairs(KEYS) do
  local kind = redis.pcall('GETRANGE', key, 0, 0)
  if kind ~= 't' and kind ~= 'l' then redis.call('UNLINK', key) end
end
return {}`;

const RELEASE_IF_OWNER = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

const RENEW_IF_OWNER = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`;

/**
 * What is no number under the generation's name (another program's, say), or has more digits than one of ours, is as good
 * as none.
 * A generation is the time of its beginning in µs, so one that was lost (evicted, flushed, or not yet replicated when its
 * server failed) is followed by a higher one, never by one whose entries may still be there.
 */
const RAISE = `${NOW}
local function storedGeneration()
  local text = redis.pcall('GET', KEYS[1])
  return type(text) == 'string' and #text <= 16 and string.match(text, '^%d+$') and tonumber(text) or nil
end
local function raise(atLeast)
  local generation = string.format('%.0f', math.max(nowUs, atLeast))
  redis.call('SET', KEYS[1], generation)
  return generation
end`;

/**
 * An invalidation always wins over what was stored before it, whatever the clock said by which that was read. The database's
 * clock was ahead when a row was read, and is right when it is invalidated: a tombstone with the right time would be older
 * than what it is to replace, and than what else was read by that clock and is on its way.
 */
const PUT_TOMBSTONES = `${NOW}
for i, key in ipairs(KEYS) do
  local tombstone, atUs, ttlMs = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), ARGV[3 * i]
  local head = redis.pcall('GETRANGE', key, 0, 16)
  local storedAtUs = type(head) == 'string' and #head == 17 and tonumber(string.sub(head, 2))
  if storedAtUs and storedAtUs > atUs and storedAtUs < nowUs + 86400000000 then
    tombstone = string.format('t%016.0f', storedAtUs) .. string.sub(tombstone, 18)
  end
  redis.call('SET', key, tombstone, 'PX', ttlMs)
end
return {}`;

/**
 * Whoever checks knows a generation too. When it is higher than the stored one, a failover has lost a clear:
 *   1. a clear raises the generation on the primary    3. the primary fails; its replica has not heard of 1
 *   2. this container hears of it                      4. this check brings the generation of 1 back
 * The three keys rest on each other, and none has a time to live. One that is gone all the same was deleted or evicted:
 * without the schema versions, an invalidation would miss what another version has stored, so a new generation begins;
 * without the list, whose mark is the id '', nobody knows what was invalidated up to now.
 */
const CHECK_GENERATION = `${RAISE}
local known, sinceMs, reportedMax, version, keptMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
for i = 2, 3 do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', KEYS[i]) end
end
local stored = redis.call('EXISTS', KEYS[3]) == 1 and storedGeneration()
if not redis.call('ZSCORE', KEYS[2], '') then redis.call('ZADD', KEYS[2], stored and nowMs or 0, '') end
local generation
if not stored then generation = raise(math.max(storedGeneration() or 0, tonumber(known)) + 1)
elseif stored < tonumber(known) then
  generation = known
  redis.call('SET', KEYS[1], generation)
else generation = string.format('%.0f', stored) end
local untilMs = tonumber(redis.call('ZSCORE', KEYS[3], version) or '0')
if untilMs < nowMs + keptMs or untilMs > nowMs + 3 * keptMs then
  redis.call('ZADD', KEYS[3], nowMs + 2 * keptMs, version)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', nowMs)
end
local versions = redis.call('ZRANGE', KEYS[3], 0, -1)
local isWhole = 1
local forgottenMs = tonumber(redis.call('ZSCORE', KEYS[2], '') or '-inf')
if forgottenMs >= tonumber(sinceMs) or redis.call('ZCOUNT', KEYS[2], sinceMs, '+inf') > reportedMax then isWhole = 0 end
local answer = { generation, nowMs, isWhole, #versions }
for _, each in ipairs(versions) do answer[#answer + 1] = each end
if isWhole == 1 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], sinceMs, '+inf', 'BYSCORE')) do answer[#answer + 1] = id end
end
return answer`;

const RAISE_GENERATION = `${RAISE}
return raise(math.max(storedGeneration() or 0, tonumber(ARGV[1])) + 1)`;

/**
 * The list is bounded in time (whoever has not checked for so long believes nothing in its memory) and in length: the last
 * id that was forgotten too early leaves its time in the list's mark, under a name that no id has.
 */
const ANNOUNCE_INVALIDATED = `${NOW}
local forgottenMs = redis.call('ZSCORE', KEYS[1], '') or nowMs
redis.call('ZREM', KEYS[1], '')
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], nowMs, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', nowMs - ARGV[1])
local tooMany = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if tooMany > 0 then
  local forgotten = redis.call('ZPOPMIN', KEYS[1], tooMany)
  forgottenMs = forgotten[#forgotten]
end
redis.call('ZADD', KEYS[1], forgottenMs, '')
return #ARGV - 2`;

/**
 * A flush that timed out may have been executed: its id makes the repetition harmless, so a total is never counted twice.
 * A hash that is none fails before the id is taken, so that the repetition counts.
 */
const ADD_TOTALS = `${NOW}
redis.call('HLEN', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', nowMs - ARGV[2])
if redis.call('ZADD', KEYS[2], 'NX', nowMs, ARGV[1]) == 0 then return 0 end
for i = 3, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1`;

/**
 * The fencing number of who wrote last. It is a time, so what is no number, or is of a day that has not come yet, is not
 * ours, and must not refuse all who write from now on.
 */
const STORED_ORDER = `${NOW}
local function storedOrder(key)
  local order = tonumber(redis.call('GET', key) or '0')
  return order and order < nowUs + 86400000000 and order or 0
end`;

/**
 * Ordered by fencing number: what a run that lost its lock reports late does not replace what its successor reported.
 * A field is \`metric|labels\`: those of the same metrics that are not given are of an older run, and go.
 */
const SET_GAUGES = `${STORED_ORDER}
if storedOrder(KEYS[2]) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
local given, metrics = {}, {}
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  given[ARGV[i]] = true
  metrics[string.match(ARGV[i], '^[^|]*')] = true
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if metrics[string.match(field, '^[^|]*')] and not given[field] then redis.call('HDEL', KEYS[1], field) end
end
return 1`;

/** How many bytes the server may use; 0 where it has no limit, or does not tell. */
const MAX_MEMORY = `
local function maxMemory()
  local memory = redis.pcall('INFO', 'memory')
  return type(memory) == 'string' and tonumber(string.match(memory, 'maxmemory:(%d+)')) or 0
end`;

/** What cannot be evicted must stay small where the memory is: of a dataset's ranking, a part of it, at so much a key. */
const RANKING_SHARE = 0.1;
const RANKED_KEY_BYTES = 140;
/** Redis answers nobody else meanwhile: ten times what is added together, so that many are forgotten soon all the same. */
const FORGOTTEN_TOGETHER_MAX = 2_000;

/**
 * A score is a time: that at which one single read would weigh as much. Reads of one key add up as their weights do, which
 * halve with every half-life. Without a time to live: a full Redis evicts what has one.
 */
const ADD_READS = `${NOW}${MAX_MEMORY}
local readAtMs = tonumber(ARGV[1]) or nowMs
local halfLifeMs = tonumber(ARGV[2])
for i = 5, #ARGV, 2 do
  local scoreMs = readAtMs + tonumber(ARGV[i + 1])
  local storedMs = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or '-inf')
  local higherMs, lowerMs = math.max(scoreMs, storedMs), math.min(scoreMs, storedMs)
  if lowerMs > -math.huge then
    higherMs = higherMs + halfLifeMs * math.log(1 + 2 ^ ((lowerMs - higherMs) / halfLifeMs)) / math.log(2)
  end
  redis.call('ZADD', KEYS[1], string.format('%.3f', higherMs), ARGV[i])
end
redis.call('PERSIST', KEYS[1])
local keysMax, memory = tonumber(ARGV[3]), maxMemory()
if memory > 0 then keysMax = math.min(keysMax, math.floor(memory * ${RANKING_SHARE} / ${RANKED_KEY_BYTES})) end
local tooMany = redis.call('ZCARD', KEYS[1]) - keysMax
local tooOld = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. nowMs - ARGV[4])
local forgotten = math.min(math.max(tooMany, tooOld), ${FORGOTTEN_TOGETHER_MAX})
if forgotten > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, forgotten - 1) end
return redis.call('ZCARD', KEYS[1])`;

/**
 * Without a time to live, because a full Redis evicts what has one: a window that has ended is forgotten when the next one
 * is opened, whoever's it is. A window that ends later than one can was opened before the clock was set back.
 */
const COUNT_CALL = `${NOW}
local windowMs = tonumber(ARGV[2])
local function openWindow(text)
  local calls, endsAtMs = string.match(text or '', '^(%d+) (%d+)$')
  if calls and tonumber(endsAtMs) > nowMs and tonumber(endsAtMs) <= nowMs + windowMs then
    return tonumber(calls), tonumber(endsAtMs)
  end
end
local calls, endsAtMs = openWindow(redis.call('HGET', KEYS[1], ARGV[1]))
if not calls then
  calls, endsAtMs = 0, nowMs + windowMs
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do if not openWindow(all[i + 1]) then redis.call('HDEL', KEYS[1], all[i]) end end
end
if calls < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %.0f', calls + 1, endsAtMs))
end
return { calls + 1, endsAtMs - nowMs, endsAtMs }`;

/** Of that window only: in a later one it would take back a call that was made. */
const UNCOUNT_CALL = `
local calls, endsAtMs = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (%d+)$')
if not calls or endsAtMs ~= ARGV[2] or tonumber(calls) < 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], (calls - 1) .. ' ' .. endsAtMs)
return 1`;

/** Two bits a key. One of 250 keys that nobody asked for finds both set, when a bitmap is as full as it gets. */
export const SEEN_BITS = 2 ** 21;
const SEEN_SET_MAX = 2 ** 16;
/** A server that is resized, or followed by a smaller one, tells so; asking it takes as long as a dozen commands. */
const MEMORY_ASKED_EVERY_MS = 60_000;

/**
 * Of each share, what was stored in its window and in the one before is all that can be there still, because nothing of it
 * lives longer than a window. Its limit is a part of the server's memory, of which the server itself tells; where it has
 * none, or does not tell, nobody can be crowded out, or nobody can know. What was stored under another generation is not
 * counted: nobody reads it, so it is the first to be evicted. The bitmaps take turns, when the first share's window is over,
 * and when one is full of keys.
 */
const ADMIT = `${NOW}${MAX_MEMORY}
local state = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do state[flat[i]] = tonumber(flat[i + 1]) end
local function since(field) return nowMs - (state[field] or 0) end
local function isOver(field, ms) return since(field) >= ms or since(field) < 0 end
if isOver('memoryAtMs', ${MEMORY_ASKED_EVERY_MS}) then
  state.memory, state.memoryAtMs = maxMemory(), nowMs
end
local isNewGeneration = state.generation ~= tonumber(ARGV[1])
state.generation = tonumber(ARGV[1])
local answer = {}
local mayTurn = false
for share = 0, ${ADMISSION_SHARES - 1} do
  local part, windowMs, bytes = ARGV[3 * share + 2], tonumber(ARGV[3 * share + 3]), ARGV[3 * share + 4]
  local began, now, before = 'began' .. share, 'bytes' .. share, 'before' .. share
  if isOver(began, windowMs) then
    state[before] = not isOver(began, 2 * windowMs) and state[now] or 0
    state[now], state[began] = 0, nowMs
    mayTurn = mayTurn or share == 0
  end
  if isNewGeneration then state[now], state[before] = 0, 0 end
  state[now] = (state[now] or 0) + bytes
  local hasRoom = state.memory == 0 or state[now] + (state[before] or 0) < state.memory * part
  answer[#answer + 1] = hasRoom and 1 or 0
end
if mayTurn or (state.seen or 0) >= ${SEEN_SET_MAX} then
  state.turn, state.seen = 1 - (state.turn or 0), 0
  redis.call('UNLINK', KEYS[2 + state.turn])
end
local current, before = KEYS[2 + state.turn], KEYS[3 - state.turn]
for i = ${3 * ADMISSION_SHARES + 2}, #ARGV, 2 do
  local one, other = ARGV[i], ARGV[i + 1]
  local wasSeen = redis.call('GETBIT', before, one) + redis.call('GETBIT', before, other) == 2
  local isNew = redis.call('SETBIT', current, one, 1) + redis.call('SETBIT', current, other, 1) < 2
  if isNew then state.seen = state.seen + 1 end
  answer[#answer + 1] = (wasSeen or not isNew) and 1 or 0
end
local fields = {}
for field, value in pairs(state) do
  fields[#fields + 1] = field
  fields[#fields + 1] = string.format('%.0f', value)
end
redis.call('HSET', KEYS[1], unpack(fields))
return answer`;

/** Without a time to live: a full Redis evicts what has one, and these are read by new containers only. */
const SET_HOT_KEYS = `${STORED_ORDER}
if storedOrder(KEYS[3]) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[3], ARGV[1])
for i = 1, 2 do
  if ARGV[i + 1] == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], ARGV[i + 1]) end
end
return 1`;

/** Ordered by fencing number, not by arrival: a run that lost its lock and reports late does not become the last one. */
const ADD_REPORT = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))`;

/** Makes the scripts methods of `redis` (EVALSHA, with the text only where a server does not know it yet). */
export function defineScripts(redis: Redis | Cluster): void {
  redis.defineCommand('putEntries', { lua: PUT_ENTRIES });
  redis.defineCommand('putTombstones', { lua: ALSO_WHEN_FULL + PUT_TOMBSTONES });
  redis.defineCommand('dropValues', { lua: ALSO_WHEN_FULL + DROP_VALUES });
  redis.defineCommand('releaseIfOwner', { numberOfKeys: 1, lua: RELEASE_IF_OWNER });
  redis.defineCommand('renewIfOwner', { numberOfKeys: 1, lua: RENEW_IF_OWNER });
  redis.defineCommand('checkGeneration', { numberOfKeys: 3, lua: ALSO_WHEN_FULL + CHECK_GENERATION });
  redis.defineCommand('raiseGeneration', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + RAISE_GENERATION });
  redis.defineCommand('announceInvalidated', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + ANNOUNCE_INVALIDATED });
  redis.defineCommand('addTotals', { numberOfKeys: 2, lua: ADD_TOTALS });
  redis.defineCommand('setGauges', { numberOfKeys: 2, lua: SET_GAUGES });
  redis.defineCommand('addReads', { numberOfKeys: 1, lua: ADD_READS });
  redis.defineCommand('setHotKeys', { numberOfKeys: 3, lua: SET_HOT_KEYS });
  redis.defineCommand('countCall', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + COUNT_CALL });
  redis.defineCommand('uncountCall', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + UNCOUNT_CALL });
  redis.defineCommand('admit', { numberOfKeys: 3, lua: ADMIT });
  redis.defineCommand('addReport', { numberOfKeys: 1, lua: ADD_REPORT });
}
