/** Which keys were seen lately: a hash of each, in a table of fixed size where a later key may overwrite an earlier one. */

/** 2 ** 32 by the golden ratio, odd: by it near numbers are carried far apart. */
const MULTIPLIER = 0x9e3779b1;

/** May take one key for another, very rarely: nothing that has to be right may rest on it. */
export class SeenKeys {
  readonly #hashes: Int32Array;

  /** Remembers about the last `keys` of them. */
  constructor(keys: number) {
    this.#hashes = new Int32Array(2 ** Math.ceil(Math.log2(keys)));
  }

  add(key: string): void {
    const hash = hashOf(key);
    this.#hashes[this.#slotOf(hash)] = hash;
  }

  /** Whether it was seen; it is forgotten then. */
  take(key: string): boolean {
    const hash = hashOf(key);
    const slot = this.#slotOf(hash);
    if (this.#hashes[slot] !== hash) return false;
    this.#hashes[slot] = 0;
    return true;
  }

  #slotOf(hash: number): number {
    return hash & (this.#hashes.length - 1);
  }
}

/**
 * Mixed after each character: FNV, which is not, has a dozen collisions among 20,000 numbered keys. Never 0, which is an
 * empty slot.
 */
function hashOf(key: string): number {
  let hash = 0;
  for (let place = 0; place < key.length; place++) {
    hash = Math.imul(hash ^ key.charCodeAt(place), MULTIPLIER);
    hash ^= hash >>> 15;
  }
  return hash || 1;
}
