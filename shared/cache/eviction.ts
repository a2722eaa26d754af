/**
 * Which entry leaves a full memory: CAR, a clock with adaptive replacement (Bansal and Modha, 2004). New ones pass through a
 * queue of their own; what is hit there, or comes back soon after it left, joins the frequent ones, whom a scan cannot reach.
 */
import { SeenKeys } from './seen-keys.ts';

/** How many keys that left unhit are remembered, in multiples of the places: beside a scan, a hot key comes back that much later. */
const LEFT_RECENT_PER_PLACE = 8;

/** The share of the places by which the room for new ones grows when one of them turns out to have left too early. */
const STEP = 0.02;

/** What eviction has to know of an entry. */
export class Place {
  readonly key: string;
  untilMs = 0;
  /** Whether it was hit since eviction looked at it last. */
  wasHit = false;
  isFrequent = false;
  previous: Place = this;
  next: Place = this;

  constructor(key: string) {
    this.key = key;
  }
}

/** First in, first out, and any can be taken out of it. */
class PlaceQueue {
  size = 0;
  /** The queue's two ends in one: it is before the oldest place and behind the newest. */
  readonly #ends = new Place('');

  push(place: Place): void {
    const newest = this.#ends.previous;
    place.previous = newest;
    place.next = this.#ends;
    newest.next = place;
    this.#ends.previous = place;
    this.size++;
  }

  shift(): Place {
    const oldest = this.#ends.next;
    this.remove(oldest);
    return oldest;
  }

  remove(place: Place): void {
    place.previous.next = place.next;
    place.next.previous = place.previous;
    this.size--;
  }
}

export class Eviction {
  readonly #placesMax: number;
  readonly #leftRecent: SeenKeys;
  readonly #leftFrequent: SeenKeys;
  #recent = new PlaceQueue();
  #frequent = new PlaceQueue();
  /** How many recent places there should be; while there are fewer, a frequent one gives way. */
  #recentWanted = 0;

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
    this.#leftRecent = new SeenKeys(placesMax * LEFT_RECENT_PER_PLACE);
    this.#leftFrequent = new SeenKeys(placesMax);
  }

  /** What comes back joins the frequent ones, or stays out of them: a list that is asked for again and again comes back each time. */
  add(place: Place, begins: 'frequent' | 'recent' | 'as it comes back'): void {
    const cameBack = begins !== 'recent' && this.#learnFrom(place.key);
    this.#enqueue(place, cameBack || begins === 'frequent');
  }

  remove(place: Place): void {
    (place.isFrequent ? this.#frequent : this.#recent).remove(place);
  }

  /** Empties both queues; what was learnt about keys stays. */
  clear(): void {
    this.#recent = new PlaceQueue();
    this.#frequent = new PlaceQueue();
  }

  /** Takes out the first one that was not hit since it was looked at last, or has expired: each is passed over once at most. */
  shift(nowMs: number): Place {
    for (;;) {
      const place = (this.#isRecentNext() ? this.#recent : this.#frequent).shift();
      if (!place.wasHit || nowMs >= place.untilMs) {
        (place.isFrequent ? this.#leftFrequent : this.#leftRecent).add(place.key);
        return place;
      }
      place.wasHit = false;
      this.#enqueue(place, true);
    }
  }

  #enqueue(place: Place, isFrequent: boolean): void {
    place.isFrequent = isFrequent;
    (isFrequent ? this.#frequent : this.#recent).push(place);
  }

  #isRecentNext(): boolean {
    return this.#frequent.size === 0 || (this.#recent.size > 0 && this.#recent.size >= this.#recentWanted);
  }

  /** Whether the key left lately and comes back; adapts the room for recent ones by it. Of those, many more are remembered, so each counts less. */
  #learnFrom(key: string): boolean {
    const step = this.#placesMax * STEP;
    if (this.#leftRecent.take(key)) {
      this.#recentWanted = Math.min(this.#recentWanted + step, this.#placesMax);
      return true;
    }
    if (!this.#leftFrequent.take(key)) return false;
    this.#recentWanted = Math.max(this.#recentWanted - step * LEFT_RECENT_PER_PLACE, 0);
    return true;
  }
}
