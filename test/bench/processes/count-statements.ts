/** Counts what this process sends to Postgres. */
import pg from 'pg';

/** At the driver, so that nothing goes another way. Answers how many there were since this was called. */
export function countStatements(): () => number {
  let statements = 0;
  const driver = pg.Client.prototype as { query(...statement: unknown[]): unknown };
  const { query } = driver;
  driver.query = function (...statement) {
    statements++;
    return query.apply(this, statement);
  };
  return () => statements;
}
