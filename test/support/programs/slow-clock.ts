/** Loaded before a program: its time goes by twenty times as slowly, so that a busy machine does not look like a Redis that is away. */
const SLOWNESS = 20;

const { now } = Date;
const beganAtMs = now();
Date.now = () => Math.round(beganAtMs + (now() - beganAtMs) / SLOWNESS);

const monotonic = performance.now.bind(performance);
performance.now = () => monotonic() / SLOWNESS;

const { setTimeout } = globalThis;
globalThis.setTimeout = Object.assign(
  ((run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    setTimeout(run, ms * SLOWNESS, ...args)) as typeof setTimeout,
  setTimeout, // what `promisify` asks for
);
