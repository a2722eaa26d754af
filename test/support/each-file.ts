/** What is done for each test file: its log is kept quiet of failures that are expected, and what it opened is closed after its last test. */
import { afterAll } from 'vitest';
import { environment } from '../../shared/environment.ts';
import { setLogLevel } from '../../shared/logger.ts';
import { endFile } from './at-end.ts';

setLogLevel(environment.logLevel());
afterAll(endFile);
