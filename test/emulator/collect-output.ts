/** Runs a command to its end within a bound and answers all that it wrote, to both outputs, as a person would have seen it. */
import { awaitCommand, type CommandOptions } from '../../infra/local/processes/command.ts';

type Written = { readonly exitCode: number | null; readonly output: string };

export async function collectOutput(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<Written> {
  let output = '';
  const exitCode = await awaitCommand(command, args, options, ({ stdout, stderr }) => {
    for (const stream of [stdout, stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  });
  return { exitCode, output };
}
