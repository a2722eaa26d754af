/** Keeps the lines that the code under test logs about expected failures out of the tests' output. */
import { environment } from '../../shared/environment.ts';
import { setLogLevel } from '../../shared/logger.ts';

setLogLevel(environment.logLevel());
