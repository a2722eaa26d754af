/** Looks for a schedule that breaks a promise: random interleavings of several caches on a real Redis, against a model. */
import * as fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, it } from 'vitest';
import { closedAtEnd } from '../at-end.ts';
import { isolatedServers } from '../servers.ts';
import { type Action, IDS, Schedule } from './schedule.ts';
import { ScheduledRedis, useVirtualClock } from './scheduled-redis.ts';
import { VirtualTime } from './virtual-time.ts';

const PROCESSES = 3;
const SCHEDULES = Number(process.env['SCHEDULES'] ?? 1_000);
/** Another seed looks elsewhere; a failure prints the one that it needs to be seen again, and its shortest schedule. */
const SEED = Number(process.env['SCHEDULES_SEED'] ?? 20_260_101);

const processIndex = fc.nat({ max: PROCESSES - 1 });
const id = fc.constantFrom(...IDS);
const ids = fc.subarray([...IDS], { minLength: 1 });
const picks = fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 12 });
/** Around every time that means something to the cache: looks, leases, timeouts, lives of tombstones and entries. */
const ms = fc.constantFrom(1, 20, 99, 120, 260, 501, 700, 900, 1_000, 2_500, 29_000, 31_000, 61_000, 400_000);
/** Of NTP, of a summer time done wrong, and of a server that takes over. */
const clockStepMs = fc.constantFrom(-3_600_000, -2_000, -600, 2_000, 3_600_000);
const databaseStepMs = fc.constantFrom(-120_000, -2_000, 2_000, 120_000);

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>;

/** As often as its `weight` against the others'. */
function happens(weight: number, type: fc.Arbitrary<Action['type']>, fields: Fields = {}) {
  return { weight, arbitrary: fc.record({ type, ...fields }) as fc.Arbitrary<Action> };
}

const action: fc.Arbitrary<Action> = fc.oneof(
  happens(6, fc.constant('get'), { process: processIndex, id }),
  happens(3, fc.constant('getMany'), { process: processIndex, ids }),
  happens(1, fc.constant('warm'), { process: processIndex, ids }),
  happens(3, fc.constant('invalidate'), { process: processIndex, id }),
  happens(1, fc.constant('clear'), { process: processIndex }),
  happens(1, fc.constantFrom('update', 'delete', 'evict'), { id }),
  happens(12, fc.constant('steps'), { picks }),
  happens(4, fc.constant('wait'), { ms }),
  happens(1, fc.constant('crash'), { process: processIndex, nextVersion: fc.constantFrom(1, 2) }),
  happens(1, fc.constant('loseConnection'), { process: processIndex }),
  happens(1, fc.constant('stepClock'), { process: processIndex, ms: clockStepMs }),
  happens(1, fc.constant('stepDatabaseClock'), { ms: databaseStepMs }),
  happens(1, fc.constant('freeze'), { process: processIndex }),
  happens(1, fc.constant('thaw'), { process: processIndex, timersStoodStill: fc.boolean() }),
  happens(1, fc.constant('failLoad'), { pick: fc.nat({ max: 5 }) }),
  happens(1, fc.constant('loseGeneration')),
);

const steps = fc.record({ type: fc.constant('steps' as const), picks });

/** So many times the first thing that can happen. */
const firstSteps = (count: number): Action => ({ type: 'steps', picks: new Array(count).fill(0) });
/** All that was begun comes to its end. */
const untilDone = firstSteps(30);

/** What chance alone seldom puts together: a container is frozen in the middle of a read while another changes the row. */
const frozenThroughChange: fc.Arbitrary<Action[]> = fc
  .record({
    id,
    frozen: processIndex,
    shiftTo: fc.integer({ min: 1, max: PROCESSES - 1 }),
    begun: steps,
    change: fc.constantFrom('invalidate' as const, 'clear' as const),
    sleptMs: ms,
    timersStoodStill: fc.boolean(),
  })
  .map(({ id, frozen, shiftTo, begun, change, sleptMs, timersStoodStill }) => [
    { type: 'get', process: frozen, id },
    begun,
    { type: 'freeze', process: frozen },
    { type: change, process: (frozen + shiftTo) % PROCESSES, id },
    untilDone,
    { type: 'wait', ms: sleptMs },
    { type: 'thaw', process: frozen, timersStoodStill },
    { type: 'get', process: frozen, id },
  ]);

const zeros = (min: number, max: number): fc.Arbitrary<Action> => fc.integer({ min, max }).map(firstSteps);
const two = fc
  .tuple(processIndex, fc.integer({ min: 1, max: PROCESSES - 1 }))
  .map(([one, shift]) => [one, (one + shift) % PROCESSES] as const);
const twoIds = fc
  .tuple(id, fc.integer({ min: 1, max: 2 }))
  .map(([one, shift]) => [one, (one + shift) % 3] as const);
const trouble = (process: number): fc.Arbitrary<Action> =>
  fc.constantFrom<Action>({ type: 'loseConnection', process }, { type: 'wait', ms: 120 });

/** A generation check is answered long after it was made: what it says is as old as its question. */
const lookAnsweredLate: fc.Arbitrary<Action[]> = fc
  .tuple(two, twoIds, zeros(1, 3), zeros(1, 6), fc.constantFrom(1_000, 2_500))
  .map(([[p, q], [k, other], asked, answered, ms]) => [
    { type: 'get', process: p, id: k },
    untilDone,
    { type: 'wait', ms: 501 },
    { type: 'get', process: p, id: other },
    asked,
    { type: 'freeze', process: p },
    { type: 'invalidate', process: q, id: k },
    untilDone,
    { type: 'wait', ms },
    { type: 'thaw', process: p, timersStoodStill: true },
    answered,
    { type: 'get', process: p, id: k },
  ]);

/** Nothing is under way, and nothing is cached. */
const fromNothing = (p: number, q: number): Action[] => [
  { type: 'thaw', process: p, timersStoodStill: false },
  { type: 'thaw', process: q, timersStoodStill: false },
  firstSteps(40),
  { type: 'clear', process: q },
  firstSteps(20),
  { type: 'wait', ms: 1_000 },
];

/** A load that began before an invalidation of which its container has heard ends when Redis takes no writes. */
const loadEndsInTrouble: fc.Arbitrary<Action[]> = fc
  .tuple(two, twoIds, zeros(10, 12), zeros(6, 6), zeros(9, 11), fc.boolean())
  .chain(([[p, q], [k, other], begun, changed, heard, own]) =>
    trouble(p).map((lost): Action[] => [
      ...fromNothing(p, q),
      { type: 'get', process: p, id: k },
      begun,
      { type: 'invalidate', process: own ? p : q, id: k },
      changed,
      ...(own ? [] : [{ type: 'wait' as const, ms: 501 }]),
      { type: 'get', process: p, id: own ? k : other },
      heard,
      lost,
      untilDone,
      { type: 'wait', ms: 2_500 },
      { type: 'get', process: p, id: other },
      firstSteps(12),
      { type: 'get', process: p, id: k },
    ]),
  );

/** A container is frozen in a load and finds Redis away when it is thawed. */
const frozenLoadInTrouble: fc.Arbitrary<Action[]> = fc
  .tuple(processIndex, id, zeros(8, 10), zeros(1, 3))
  .map(([p, k, begun, ended]) => [
    { type: 'get', process: p, id: k },
    begun,
    { type: 'freeze', process: p },
    { type: 'wait', ms: 400_000 },
    { type: 'thaw', process: p, timersStoodStill: true },
    ended,
    { type: 'loseConnection', process: p },
    { type: 'get', process: p, id: k },
    { type: 'loseConnection', process: p },
  ]);

/** A container's clock is set back while it is idle, and shows again what it showed at its last generation check when it is asked. */
const clockSetBackWhileIdle: fc.Arbitrary<Action[]> = fc
  .tuple(
    two,
    id,
    fc.constantFrom([-600, 1_000], [-2_000, 2_001], [-2_000, 2_300], [-3_600_000, 1_000] as const),
    fc.constantFrom('invalidate' as const, 'clear' as const),
  )
  .map(([[p, q], k, [ms, idleMs], change]) => [
    { type: 'get', process: p, id: k },
    untilDone,
    { type: 'stepClock', process: p, ms: ms as number },
    { type: change, process: q, id: k },
    untilDone,
    { type: 'wait', ms: idleMs as number },
    { type: 'get', process: p, id: k },
  ]);

const schedule = fc
  .array(
    fc.oneof(
      { weight: 15, arbitrary: action.map((single) => [single]) },
      { weight: 1, arbitrary: frozenThroughChange },
      { weight: 1, arbitrary: lookAnsweredLate },
      { weight: 1, arbitrary: loadEndsInTrouble },
      { weight: 1, arbitrary: frozenLoadInTrouble },
      { weight: 1, arbitrary: clockSetBackWhileIdle },
    ),
    { minLength: 4, maxLength: 24 },
  )
  .map((parts) => parts.flat());

/** Short enough that everything expires in a schedule, and so long that an entry outlives a tombstone. */
const timing = fc.constantFrom(
  { freshMs: 900, warmFreshMs: 3_000, graceMs: 2_000, absentMs: 500, memoryMs: 400 },
  { freshMs: 300_000, warmFreshMs: 300_000, graceMs: 300_000, absentMs: 30_000, memoryMs: 60_000 },
  { freshMs: 5_000, warmFreshMs: 80_000, graceMs: 300_000, absentMs: 5_000, memoryMs: 10_000 },
);

type Timing = ConstructorParameters<typeof Schedule>[2];

/** Schedules that broke a promise once, and are tried each time. */
const found: [Timing, Action[]][] = [
  [
    // A generation check is under way when the clock is set back, which is noticed before it is answered.
    { freshMs: 300_000, warmFreshMs: 300_000, graceMs: 300_000, absentMs: 30_000, memoryMs: 60_000 },
    [
      { type: 'get', process: 0, id: 0 },
      { type: 'getMany', process: 1, ids: [0, 2] },
      { type: 'get', process: 0, id: 1 },
      untilDone,
      { type: 'wait', ms: 501 },
      { type: 'get', process: 0, id: 2 },
      { type: 'steps', picks: [0] },
      { type: 'freeze', process: 0 },
      { type: 'invalidate', process: 1, id: 1 },
      untilDone,
      { type: 'wait', ms: 1_000 },
      { type: 'thaw', process: 0, timersStoodStill: true },
      { type: 'steps', picks: [0, 0] },
      { type: 'get', process: 0, id: 1 },
      { type: 'getMany', process: 0, ids: [1, 2] },
      { type: 'steps', picks: [1, 0] },
      { type: 'get', process: 1, id: 0 },
      untilDone,
      { type: 'stepClock', process: 1, ms: -600 },
      { type: 'invalidate', process: 2, id: 0 },
      untilDone,
      { type: 'wait', ms: 1_000 },
      { type: 'get', process: 1, id: 0 },
      { type: 'clear', process: 0 },
    ],
  ],
  [
    // Who invalidates has not heard of the version of a load whose lease is in the entry's place.
    { freshMs: 900, warmFreshMs: 3_000, graceMs: 2_000, absentMs: 500, memoryMs: 400 },
    [
      { type: 'get', process: 0, id: 0 },
      firstSteps(8),
      { type: 'freeze', process: 0 },
      { type: 'wait', ms: 400_000 },
      { type: 'thaw', process: 0, timersStoodStill: true },
      { type: 'steps', picks: [0] },
      { type: 'loseConnection', process: 0 },
      { type: 'get', process: 0, id: 0 },
      { type: 'loseConnection', process: 0 },
      { type: 'steps', picks: [0] },
      { type: 'failLoad', pick: 0 },
      { type: 'get', process: 0, id: 0 },
      { type: 'steps', picks: [0, 0, 0, 5] },
      { type: 'freeze', process: 0 },
      { type: 'invalidate', process: 1, id: 0 },
      untilDone,
      { type: 'wait', ms: 1 },
      { type: 'thaw', process: 0, timersStoodStill: false },
      { type: 'get', process: 0, id: 0 },
      { type: 'wait', ms: 1 },
    ],
  ],
  [
    // A refresh begins after its caller's container was told of an invalidation, and another one leads.
    { freshMs: 300_000, warmFreshMs: 300_000, graceMs: 300_000, absentMs: 30_000, memoryMs: 60_000 },
    [
      { type: 'get', process: 0, id: 2 },
      firstSteps(9),
      { type: 'freeze', process: 0 },
      { type: 'wait', ms: 400_000 },
      { type: 'thaw', process: 0, timersStoodStill: true },
      { type: 'steps', picks: [0] },
      { type: 'loseConnection', process: 0 },
      { type: 'get', process: 0, id: 2 },
      { type: 'loseConnection', process: 0 },
      { type: 'get', process: 0, id: 2 },
      { type: 'steps', picks: [0] },
      { type: 'freeze', process: 0 },
      { type: 'invalidate', process: 1, id: 2 },
      untilDone,
      { type: 'wait', ms: 2_500 },
      { type: 'thaw', process: 0, timersStoodStill: true },
      { type: 'get', process: 0, id: 2 },
      { type: 'steps', picks: [0] },
      { type: 'get', process: 0, id: 0 },
      { type: 'steps', picks: [0, 2, 0] },
      { type: 'getMany', process: 0, ids: [2] },
      { type: 'invalidate', process: 0, id: 0 },
    ],
  ],
  [
    // A clock is set back between a load and its storing, and a version is not known any more when an id is invalidated.
    { freshMs: 900, warmFreshMs: 3_000, graceMs: 2_000, absentMs: 500, memoryMs: 400 },
    [
      { type: 'getMany', process: 0, ids: [2] },
      { type: 'invalidate', process: 0, id: 0 },
      { type: 'get', process: 1, id: 1 },
      untilDone,
      { type: 'stepClock', process: 1, ms: -3_600_000 },
      { type: 'invalidate', process: 2, id: 1 },
      untilDone,
      { type: 'wait', ms: 1_000 },
      { type: 'get', process: 1, id: 1 },
      { type: 'get', process: 2, id: 0 },
      firstSteps(8),
      { type: 'freeze', process: 2 },
      { type: 'wait', ms: 400_000 },
      { type: 'thaw', process: 2, timersStoodStill: true },
      { type: 'steps', picks: [0] },
      { type: 'loseConnection', process: 2 },
      { type: 'get', process: 2, id: 0 },
      { type: 'loseConnection', process: 2 },
      { type: 'getMany', process: 0, ids: [2] },
      { type: 'steps', picks: [0] },
      { type: 'invalidate', process: 0, id: 1 },
    ],
  ],
];

const time = new VirtualTime();
let connections: ScheduledRedis[];
let uninstall: () => void;

/** Defines the test that tries `SCHEDULES` of them; another `part` tries others. */
export function trySchedules({ part }: { readonly part: number }): void {
  beforeAll(async () => {
    const { redisUrl } = await isolatedServers({ seeded: false });
    connections = Array.from({ length: PROCESSES }, () => closedAtEnd(new ScheduledRedis(redisUrl, time)));
    await Promise.all(connections.map((redis) => useVirtualClock(redis)));
  });
  beforeEach(() => {
    uninstall = time.install();
  });
  afterEach(() => uninstall());

  it(`nothing older than promised is read in any of ${SCHEDULES} schedules of three containers`, {
    // A bound against hanging, for ten thousand of them on a busy machine.
    timeout: 900_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(timing, schedule, async (timing, actions) => {
        time.reset();
        await new Schedule(time, connections, timing).run(actions);
      }),
      { numRuns: SCHEDULES + found.length, seed: SEED + part, examples: found },
    );
  });
}
