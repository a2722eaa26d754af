/** What a container's memory keeps, as lists that are searched from end to end: slow, and small enough to be believed. */
import { SeenKeys } from '../../shared/cache/seen-keys.ts';

type Item = {
  readonly key: string;
  readonly readAtUs: number;
  readonly untilMs: number;
  wasHit: boolean;
};

export class NaiveMemory {
  readonly #placesMax: number;
  readonly #keepMs: number;
  #recent: Item[] = [];
  #frequent: Item[] = [];
  readonly #leftRecent: SeenKeys;
  readonly #leftFrequent: SeenKeys;
  readonly #askedOnce: SeenKeys;
  #recentWanted = 0;

  constructor(placesMax: number, keepMs: number) {
    this.#placesMax = placesMax;
    this.#keepMs = keepMs;
    this.#leftRecent = new SeenKeys(8 * placesMax);
    this.#leftFrequent = new SeenKeys(placesMax);
    this.#askedOnce = new SeenKeys(8 * placesMax);
  }

  /** When what it has of `key` was read, fresh or not. */
  readAtUs(key: string): number | undefined {
    return this.#find(key)?.readAtUs;
  }

  has(key: string, nowMs: number): boolean {
    return nowMs < (this.#find(key)?.untilMs ?? 0);
  }

  get(key: string, nowMs: number): number | undefined {
    if (!this.has(key, nowMs)) return undefined;
    const item = this.#find(key) as Item;
    item.wasHit = true;
    return item.readAtUs;
  }

  set(key: string, readAtUs: number, freshUntilMs: number, nowMs: number, isFrequent: boolean): void {
    this.#put(key, readAtUs, freshUntilMs, nowMs, () => this.#comesBack(key) || isFrequent);
  }

  #put(key: string, readAtUs: number, freshUntilMs: number, nowMs: number, isFrequent: () => boolean): void {
    const old = this.#find(key);
    if (old !== undefined && old.readAtUs > readAtUs) return;
    const untilMs = Math.min(nowMs + this.#keepMs, freshUntilMs);
    const item = { key, readAtUs, untilMs, wasHit: old?.wasHit ?? false };
    const replace = (each: Item) => (each === old ? item : each);
    this.#recent = this.#recent.map(replace);
    this.#frequent = this.#frequent.map(replace);
    if (old !== undefined) return;
    if (this.#isFull) this.#evict(nowMs);
    (isFrequent() ? this.#frequent : this.#recent).push(item);
  }

  setAmongMany(key: string, readAtUs: number, freshUntilMs: number, nowMs: number): void {
    const needsSecondRequest = this.#isFull && this.#find(key) === undefined;
    if (needsSecondRequest && !this.#askedOnce.take(key)) this.#askedOnce.add(key);
    else this.#put(key, readAtUs, freshUntilMs, nowMs, () => false);
  }

  forget(key: string): void {
    this.#recent = this.#recent.filter((item) => item.key !== key);
    this.#frequent = this.#frequent.filter((item) => item.key !== key);
  }

  forgetAll(): void {
    this.#recent = [];
    this.#frequent = [];
  }

  get #isFull(): boolean {
    return this.#recent.length + this.#frequent.length === this.#placesMax;
  }

  #find(key: string): Item | undefined {
    return [...this.#recent, ...this.#frequent].find((item) => item.key === key);
  }

  #evict(nowMs: number): void {
    const fromRecent =
      this.#recent.length > 0 && (this.#recent.length >= this.#recentWanted || this.#frequent.length === 0);
    const item = (fromRecent ? this.#recent : this.#frequent).shift() as Item;
    const stays = item.wasHit && nowMs < item.untilMs;
    item.wasHit = false;
    if (stays) {
      this.#frequent.push(item);
      this.#evict(nowMs);
    } else (fromRecent ? this.#leftRecent : this.#leftFrequent).add(item.key);
  }

  #comesBack(key: string): boolean {
    const step = this.#placesMax / 50;
    if (this.#leftRecent.take(key)) this.#recentWanted = Math.min(this.#placesMax, this.#recentWanted + step);
    else if (this.#leftFrequent.take(key)) this.#recentWanted = Math.max(0, this.#recentWanted - 8 * step);
    else return false;
    return true;
  }
}
