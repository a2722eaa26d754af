/** The floor of a cold start: the two libraries that a two-layer cache cannot do without. */
export { Redis } from 'ioredis';
export { LRUCache } from 'lru-cache';
