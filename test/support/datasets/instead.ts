/** Loaded before a program: functions in it find the datasets of the tests where those of the product are registered. */
import { registerHooks } from 'node:module';

const OF_THE_PRODUCT = new URL('../../../shared/datasets/index.ts', import.meta.url).href;
const OF_THE_TESTS = new URL('./index.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    return found.url === OF_THE_PRODUCT ? { ...found, url: OF_THE_TESTS } : found;
  },
});
