/** A contestant's process that does what a broken peer does, instead of what it is told. */
import { offer } from '../../support/programs/offer.ts';

offer({
  burst: async () => {
    throw new Error('Command timed out');
  },
  sample: async () => {
    process.stderr.write(
      'node:events:1\n  throw er;\n\nError: connect ECONNREFUSED\n    at there\n\nNode.js v24\n',
    );
    process.exit(7);
  },
  fill: () => new Promise(() => {}),
  calibrate: async () => 42,
  close: async () => {},
});
