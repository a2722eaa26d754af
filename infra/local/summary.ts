/** The text at the end of a start: the lines to paste, the token in them, and where else to look. */
import { type Identity, signToken } from './identity.ts';
import { readStateDir } from './options.ts';

export type TopUser = { readonly id: string; readonly displayName: string };

type Closing = {
  readonly url: string;
  readonly token: string;
  readonly topUser: TopUser;
  readonly pushgatewayUrl: string;
  readonly functionsLog: string;
  readonly stateDir: string;
};

const CLAIMS = { sub: 'you', scope: 'users:read cache:admin' };

/** For an hour: it may do everything, and stays in the terminal and in the shell's history. */
export function signStartToken(identity: Identity): Promise<string> {
  return signToken(identity, { ...CLAIMS, expiresIn: '1h' });
}

/** Each line works when it is pasted alone. */
export function formatClosing({ url, token, topUser, ...where }: Closing): string {
  const curl = (path: string) => `curl -i -H 'Authorization: Bearer ${token}' '${url}${path}'`;
  const name = encodeURIComponent(topUser.displayName.split(' ')[0] ?? '');
  return `
Prewarm is running at ${url}

Read the user with the most followers:
${curl(`/users/${topUser.id}`)}

Search users:
${curl(`/users/search?q=${name}`)}

See the cache and the last warm-ups:
${curl('/admin/status')}

The token holds for an hour. Print a new one:
${tokenCommand(where.stateDir)}

Pushgateway      ${where.pushgatewayUrl}/metrics
Functions' log   ${where.functionsLog}

Ctrl-C stops everything.`;
}

/** The key is in the state folder: of another one than the usual, the command has to know. */
function tokenCommand(stateDir: string): string {
  const where = stateDir === readStateDir({}) ? '' : `PREWARM_STATE_DIR=${quote(stateDir)} `;
  return `${where}npm run -s token -- --sub ${CLAIMS.sub} --scope ${quote(CLAIMS.scope)}`;
}

/** As one word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
