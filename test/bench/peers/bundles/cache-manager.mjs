/** What a function that uses cache-manager imports. */
export { default as KeyvRedis } from '@keyv/redis';
export { createCache } from 'cache-manager';
export { CacheableMemory } from 'cacheable';
export { Keyv } from 'keyv';
