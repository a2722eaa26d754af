/** The names under which Redis knows what readers store, and the Lua script that admits it. */
import type { Result } from 'ioredis';
import { MAX_MEMORY, NOW } from '../redis/lua.ts';
import { defineScript } from '../redis/script.ts';

export const admissionKeys = {
  /** What readers have stored of a dataset lately, in bytes, and which of its two bitmaps is the current one. */
  admission: (dataset: string) => `prewarm:{${dataset}}:admission`,
  /** Which keys were asked for lately, as bits: two of them, of which the older one is emptied in turn. */
  seen: (dataset: string, turn: 0 | 1) => `prewarm:{${dataset}}:seen:${turn}`,
} as const;

declare module 'ioredis' {
  interface RedisCommander<Context> {
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
  }
}

/** The shares of memory for what readers store: at a first request, when asked for again, and for what does not exist. */
export const ADMISSION_SHARES = 3;

/** Two bits a key. One of 250 keys that nobody asked for finds both set, when a bitmap is as full as it gets. */
export const SEEN_BITS = 2 ** 21;

const SEEN_SET_MAX = 2 ** 16;

/** A server may be resized, or followed by a smaller one, so it is asked again; asking takes as long as a dozen commands. */
const MEMORY_ASKED_EVERY_MS = 60_000;

/**
 * What was stored in a share's window and in the one before is all that can be there still, because nothing of it lives
 * longer than a window. Its limit is a part of the server's memory, as INFO reports it; where there is
 * none, or INFO is forbidden, nobody can be crowded out, or nobody can know. What was stored under another generation is not
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

defineScript('admit', { numberOfKeys: 3, lua: ADMIT });
