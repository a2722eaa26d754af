/** What a function that uses cacheable imports. */
export { createKeyv as createKeyvRedis } from '@keyv/redis';
export { Cacheable, createKeyv } from 'cacheable';
