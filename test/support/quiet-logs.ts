/** Keeps the lines that the code under test logs about expected failures out of the tests' output. */
import { setLogLevel } from '../../shared/logger.ts';

setLogLevel('error');
