/** Admin functions of a test's own: processes with the real handler. */
import { fileURLToPath } from 'node:url';
import type { AdminActions } from './admin-program.ts';
import { openPrograms, type Programs } from './program-process.ts';

export type Admins = Programs<AdminActions>;

const PROGRAM = fileURLToPath(new URL('./admin-program.ts', import.meta.url));

export function openAdmins(): Promise<Admins> {
  return openPrograms<AdminActions>({ name: 'Admin', path: PROGRAM });
}
