/** The names of what the cache keeps in Redis, and the Lua scripts that work on it. */
import type { Result } from 'ioredis';
import { ALSO_WHEN_FULL, NOW } from '../redis/lua.ts';
import { defineScript } from '../redis/script.ts';
import { LEASE_PREFIX } from './entry.ts';

const NOT_PLAIN = /[%{}]/;

/** Text that a caller chose, without braces: else it could choose the slot as well. */
function plain(text: string): string {
  return NOT_PLAIN.test(text) ? text.replace(/[%{}]/g, encodeURIComponent) : text;
}

/** A part in braces puts names that are used together into one slot of a cluster. */
export const cacheKeys = {
  /** An entry of the cache. The generation in it is what `clear` changes. */
  entry: (dataset: string, schemaVersion: number | string, generation: string, id: string) =>
    `prewarm:entry:${dataset}:${schemaVersion}:${generation}:${plain(id)}`,
  generation: (dataset: string) => `prewarm:{${dataset}}:generation`,
  /** Ids that were invalidated lately, scored by Redis' clock in ms. */
  invalidated: (dataset: string) => `prewarm:{${dataset}}:invalidated`,
  /** The schema versions of which there may be entries, scored by until when, by Redis' clock in ms. */
  schemaVersions: (dataset: string) => `prewarm:{${dataset}}:schema-versions`,
} as const;

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
    /**
     * Answers [generation, Redis' time in ms, whether these are all ids (1 or 0), how many schema versions, the schema
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
    /** Begins a new generation (or the turn of the lock's new owner), higher than any before, also than `knownGeneration`, and answers it. */
    raiseGeneration(generationKey: string, knownGeneration: string): Result<string, Context>;
    /**
     * Announces to the other containers that `ids` were invalidated. Of more than `idsMax` the oldest are forgotten, and a
     * check from before them is answered that the list is not whole.
     */
    announceInvalidated(
      invalidatedKey: string,
      keepMs: number,
      idsMax: number,
      ...ids: string[]
    ): Result<number, Context>;
  }
}

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
 * A container that checks knows a generation too. When it is higher than the stored one, a failover has lost a clear:
 *   1. a clear raises the generation on the primary    3. the primary fails; its replica does not have 1
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
 * The list is bounded in time (a container that has not checked for so long believes nothing in its memory) and in length: the last
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

defineScript('putEntries', { lua: PUT_ENTRIES });
defineScript('putTombstones', { lua: ALSO_WHEN_FULL + PUT_TOMBSTONES });
defineScript('dropValues', { lua: ALSO_WHEN_FULL + DROP_VALUES });
defineScript('checkGeneration', { numberOfKeys: 3, lua: ALSO_WHEN_FULL + CHECK_GENERATION });
defineScript('raiseGeneration', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + RAISE_GENERATION });
defineScript('announceInvalidated', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + ANNOUNCE_INVALIDATED });
