/** What a function that uses async-cache-dedupe imports. */
export { createCache } from 'async-cache-dedupe';
export { Redis } from 'ioredis';
