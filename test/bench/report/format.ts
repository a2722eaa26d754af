/** Figures as people read them: three digits, and a unit. */

const NS_PER_US = 1_000;

export function microseconds(ns: number): string {
  const us = ns / NS_PER_US;
  return us < 100 ? us.toPrecision(3) : us.toFixed(0);
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}

export function milliseconds(ms: number): string {
  return Math.abs(ms) < 9.95 ? ms.toFixed(1) : ms.toFixed(0);
}
