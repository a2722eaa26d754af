/** The text at the end of a start: the lines to paste, and where else to look. */

export type Closing = {
  readonly url: string;
  readonly token: string;
  readonly topUser: { readonly id: string; readonly displayName: string };
  readonly pushgatewayUrl: string;
  readonly functionsLog: string;
};

/** Each line works when it is pasted alone. */
export function formatClosing({ url, token, topUser, pushgatewayUrl, functionsLog }: Closing): string {
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

Pushgateway      ${pushgatewayUrl}/metrics
Functions' log   ${functionsLog}

Ctrl-C stops everything.`;
}
