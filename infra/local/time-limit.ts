/** Work that may take so long and no longer. */

/** Settles as `work` does; once it is late, with what `late` answers or throws. */
export async function within<T>(limitMs: number, work: Promise<T>, late: () => T): Promise<T> {
  const { promise: limit, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limitMs);
  return await Promise.race([work, limit.then(late)]).finally(() => clearTimeout(timer));
}
