/** What a function that uses layered-loader imports. */
export { Redis } from 'ioredis';
export { Loader, RedisCache } from 'layered-loader';
