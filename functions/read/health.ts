/** Whether reads can be answered: `ok`, `degraded` without Redis, 503 without Postgres. */
import { hasPassed } from '../../shared/clock.ts';
import { type Answer, answerJson } from '../../shared/http/answer.ts';
import type { Database } from '../../shared/postgres/database.ts';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';

/** Anybody may ask, without a token: so Redis and Postgres are asked at most once in this time. */
const REMEMBERED_MS = 1_000;

export function healthCheck(redis: GuardedRedis, database: Database): () => Promise<Answer> {
  let checkedAtMs = 0;
  let answer: Promise<Answer> | undefined;
  return () => {
    if (answer === undefined || hasPassed(REMEMBERED_MS, checkedAtMs)) {
      checkedAtMs = Date.now();
      answer = check(redis, database);
    }
    return answer;
  };
}

async function check(redis: GuardedRedis, database: Database): Promise<Answer> {
  const [redisAnswers, databaseAnswers] = await Promise.all([
    succeeds(redis.run((client) => client.ping())),
    succeeds(database.query('SELECT 1')),
  ]);
  const status = !databaseAnswers ? 'unavailable' : redisAnswers ? 'ok' : 'degraded';
  const body = JSON.stringify({ status, redis: redisAnswers, postgres: databaseAnswers });
  return databaseAnswers ? answerJson(body) : answerJson(body, { 'retry-after': '2' }, 503);
}

async function succeeds(check: Promise<unknown>): Promise<boolean> {
  return check.then(
    () => true,
    () => false,
  );
}
