/** The order of a deployment as a picture, from the service's template: what CloudFormation waits for before what. */
import { nameMetadataKey } from '../../stage-config.ts';
import { type Edge, flowchart, type Node } from './mermaid.ts';
import { idsOf, isAfter, type StackTemplate } from './template-graph.ts';

/** What a deployment does that somebody could notice; the rest of the template serves these. */
const milestones: readonly {
  readonly type: string;
  readonly folders?: readonly string[];
  readonly label: string;
}[] = [
  { type: 'Custom::PrewarmMigrations', label: 'Migrations' },
  { type: 'AWS::Lambda::Function', folders: ['warmer'], label: 'New warmer' },
  { type: 'Custom::PrewarmDeploymentHook', label: 'Hook starts a warm-up' },
  { type: 'AWS::Lambda::Alias', label: 'Traffic moves to new code' },
  { type: 'AWS::ApiGateway::Stage', label: 'API' },
];

export function orderDiagram(template: StackTemplate): string {
  const found = milestones.flatMap((milestone) => {
    const ids = idsOf(template, milestone.type).filter((id) => isOneOf(template, id, milestone.folders));
    return ids.length === 0 ? [] : [{ label: milestone.label, ids }];
  });
  const before = (a: readonly string[], b: readonly string[]) =>
    a.every((earlier) => b.every((later) => isAfter(template, later, earlier)));
  const pairs = found.flatMap((a) =>
    found.filter((b) => a !== b && before(a.ids, b.ids)).map((b) => ({ a, b })),
  );
  // Without those that follow from two others.
  const direct = pairs.filter(
    ({ a, b }) =>
      !pairs.some((first) => first.a === a && pairs.some((second) => second.a === first.b && second.b === b)),
  );
  const idOf = (step: (typeof found)[number]) => `step${found.indexOf(step) + 1}`;
  const nodes: Node[] = found.map((step) => ({ id: idOf(step), label: step.label, shape: 'box' }));
  const edges: Edge[] = direct.map(({ a, b }) => ({ from: idOf(a), to: idOf(b) }));
  return flowchart('LR', nodes, edges);
}

function isOneOf({ resources }: StackTemplate, id: string, folders: readonly string[] | undefined): boolean {
  return folders === undefined || folders.includes(String(resources[id]?.Metadata?.[nameMetadataKey]));
}
