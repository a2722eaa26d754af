/** An HTTP answer as API Gateway takes it from a function. */

export type Answer = { statusCode: number; headers: Record<string, string>; body: string };

/** `json` is the text of the body: encoded values go through as they are. */
export function answerJson(json: string, headers: Record<string, string> = {}, statusCode = 200): Answer {
  return { statusCode, headers: { 'content-type': 'application/json', ...headers }, body: json };
}
