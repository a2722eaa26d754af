/** What is wrong with a deployed API, and what whoever reads it should do next. */
export class SmokeError extends Error {
  readonly next: string;

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, options);
    this.next = next;
  }
}
