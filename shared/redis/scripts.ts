/** The Lua scripts that Redis runs for us: each touches keys of one slot only, so that it holds in cluster mode too. */
import type { Cluster, Redis, Result } from 'ioredis';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /**
     * Stores `entry` unless what is stored was read as late or later, or Redis' clock has passed `notAfterMs`. Answers
     * null or `replaced` when it wrote (the latter over something that was no text), what is stored instead, or `late`.
     */
    putEntry(
      key: string,
      entry: string,
      readAtUs: number,
      ttlMs: number,
      notAfterMs: number,
    ): Result<string | null, Context>;
    /** The same for what must be stored also when Redis is full. */
    putTombstone(
      key: string,
      tombstone: string,
      atUs: number,
      ttlMs: number,
      notAfterMs: number,
    ): Result<string | null, Context>;
    /** Deletes `key` if it still holds `owner`; answers 1 or 0. */
    releaseIfOwner(key: string, owner: string): Result<number, Context>;
    /** Sets the time to live of `key` if it still holds `owner`; answers 1 or 0. */
    renewIfOwner(key: string, owner: string, ttlMs: number): Result<number, Context>;
    /** Answers [generation, Redis' time in ms, ids invalidated at or after `sinceMs`…]; the generation is `knownGeneration` at least. */
    lookAtGeneration(
      generationKey: string,
      invalidatedKey: string,
      sinceMs: number,
      knownGeneration: string,
    ): Result<(string | number)[], Context>;
    /** Begins a new generation, higher than any before, also than `knownGeneration`, and answers it. */
    raiseGeneration(generationKey: string, knownGeneration: string): Result<string, Context>;
    /** Tells the other containers that `ids` were invalidated; when there are too many to tell, they clear all. */
    announceInvalidated(
      generationKey: string,
      invalidatedKey: string,
      keepMs: number,
      idsMax: number,
      ...ids: string[]
    ): Result<number, Context>;
    /** Adds increments to a hash of totals, once for each `flushId`, however often it is sent; answers 1 or 0. */
    addTotals(
      totalsKey: string,
      flushedKey: string,
      flushedTtlMs: number,
      ...fieldsAndIncrements: (string | number)[]
    ): Result<number, Context>;
    /** Sets fields of a hash unless they were set with a higher `order` before; answers 1 or 0. */
    setGauges(
      gaugesKey: string,
      orderKey: string,
      order: number,
      ...fieldsAndValues: (string | number)[]
    ): Result<number, Context>;
    /** Keeps a warm-up's report, newest first by fencing number, at most `reportsMax`. */
    addReport(key: string, fence: number, report: string, reportsMax: number): Result<number, Context>;
  }
}

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
 * A value that is no entry (cut short, of another type) has no time, or one far from Redis' own, and is replaced.
 */
const PUT_ENTRY = `${NOW}
local head = redis.pcall('GETRANGE', KEYS[1], 0, 16)
if type(head) == 'string' and #head == 17 then
  local storedReadAtUs = tonumber(string.sub(head, 2))
  local isTime = storedReadAtUs and storedReadAtUs < nowUs + 86400000000
  if isTime and storedReadAtUs >= tonumber(ARGV[2]) then return redis.call('GET', KEYS[1]) end
end
if nowMs > tonumber(ARGV[4]) then return 'late' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return type(head) == 'table' and 'replaced'`;

const RELEASE_IF_OWNER = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

const RENEW_IF_OWNER = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`;

/**
 * A generation is the time of its beginning in µs, so one that was lost (evicted, flushed, or not yet replicated when its
 * server failed) is followed by a higher one, never by one whose entries may still be there.
 */
const RAISE = `${NOW}
local function raise(atLeast)
  local generation = string.format('%.0f', math.max(nowUs, atLeast))
  redis.call('SET', KEYS[1], generation)
  return generation
end`;

/**
 * Whoever looks knows a generation too. When it is higher than the stored one, a failover has lost a clear:
 *   1. a clear raises the generation on the primary    3. the primary fails; its replica has not heard of 1
 *   2. this container hears of it                      4. this look brings the generation of 1 back
 */
const LOOK_AT_GENERATION = `${RAISE}
local generation = redis.call('GET', KEYS[1])
if not generation then generation = raise(tonumber(ARGV[2]))
elseif tonumber(generation) < tonumber(ARGV[2]) then
  generation = ARGV[2]
  redis.call('SET', KEYS[1], generation)
end
local answer = { generation, nowMs }
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], ARGV[1], '+inf', 'BYSCORE')) do answer[#answer + 1] = id end
return answer`;

const RAISE_GENERATION = `${RAISE}
return raise(math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])) + 1)`;

/** The list is bounded in time (nobody keeps an entry in memory for longer) and in length (beyond it, all is cleared). */
const ANNOUNCE_INVALIDATED = `${RAISE}
for i = 3, #ARGV do redis.call('ZADD', KEYS[2], nowMs, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', nowMs - ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
if redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[2]) then
  raise(tonumber(redis.call('GET', KEYS[1]) or '0') + 1)
  redis.call('DEL', KEYS[2])
end
return #ARGV - 2`;

/** A flush that timed out may have been executed: its id makes the repetition harmless, so a total is never counted twice. */
const ADD_TOTALS = `
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return 0 end
for i = 2, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1`;

/** Ordered by fencing number: what a run that lost its lock reports late does not replace what its successor reported. */
const SET_GAUGES = `
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1`;

/** Ordered by fencing number, not by arrival: a run that lost its lock and reports late does not become the last one. */
const ADD_REPORT = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))`;

/** Makes the scripts methods of `redis` (EVALSHA, with the text only where a server does not know it yet). */
export function defineScripts(redis: Redis | Cluster): void {
  redis.defineCommand('putEntry', { numberOfKeys: 1, lua: PUT_ENTRY });
  redis.defineCommand('putTombstone', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + PUT_ENTRY });
  redis.defineCommand('releaseIfOwner', { numberOfKeys: 1, lua: RELEASE_IF_OWNER });
  redis.defineCommand('renewIfOwner', { numberOfKeys: 1, lua: RENEW_IF_OWNER });
  redis.defineCommand('lookAtGeneration', { numberOfKeys: 2, lua: ALSO_WHEN_FULL + LOOK_AT_GENERATION });
  redis.defineCommand('raiseGeneration', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + RAISE_GENERATION });
  redis.defineCommand('announceInvalidated', { numberOfKeys: 2, lua: ALSO_WHEN_FULL + ANNOUNCE_INVALIDATED });
  redis.defineCommand('addTotals', { numberOfKeys: 2, lua: ADD_TOTALS });
  redis.defineCommand('setGauges', { numberOfKeys: 2, lua: SET_GAUGES });
  redis.defineCommand('addReport', { numberOfKeys: 1, lua: ADD_REPORT });
}
