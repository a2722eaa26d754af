/** The behaviour of infra/assembly/intrinsics.ts. */
import { describe, expect, it } from 'vitest';
import { resolveValue, type Scope } from '../../../../infra/assembly/intrinsics.ts';

const scope: Scope = {
  stackName: 'prewarm-local',
  resources: {
    Warmer: { Type: 'AWS::Lambda::Function' },
    Named: { Type: 'AWS::Lambda::Function', Properties: { FunctionName: 'given' } },
    Live: { Type: 'AWS::ApiGateway::Stage', Properties: { StageName: 'live' } },
    Queue: { Type: 'AWS::SQS::Queue' },
    First: { Type: 'AWS::Lambda::Version', Properties: { FunctionName: { Ref: 'Warmer' } } },
    Alias: {
      Type: 'AWS::Lambda::Alias',
      Properties: {
        FunctionName: { Ref: 'Warmer' },
        FunctionVersion: { 'Fn::GetAtt': ['First', 'Version'] },
        Name: 'live',
      },
    },
  },
  parameters: { Version: '7' },
};
const warmerArn = 'arn:aws:lambda:us-east-1:000000000000:function:prewarm-local-Warmer';

describe('resolveValue', () => {
  it.each([
    ['plain values', { a: [1, 'b', null, true] }, { a: [1, 'b', null, true] }],
    ['a function by its name', { Ref: 'Warmer' }, 'prewarm-local-Warmer'],
    ['a function by its given name', { Ref: 'Named' }, 'given'],
    ['a stage by its name', { Ref: 'Live' }, 'live'],
    ['a version by its ARN', { Ref: 'First' }, `${warmerArn}:1`],
    ["a version's number", { 'Fn::GetAtt': ['First', 'Version'] }, '1'],
    ['an alias by its ARN', { Ref: 'Alias' }, `${warmerArn}:live`],
    ['other resources by their id', { Ref: 'Queue' }, 'Queue'],
    ['a parameter by its default', { Ref: 'Version' }, '7'],
    ['the region', { Ref: 'AWS::Region' }, 'us-east-1'],
    ['an ARN', { 'Fn::GetAtt': ['Warmer', 'Arn'] }, warmerArn],
    ['an ARN in short form', { 'Fn::GetAtt': 'Warmer.Arn' }, warmerArn],
    ['other attributes', { 'Fn::GetAtt': ['Queue', 'RootResourceId'] }, 'Queue.RootResourceId'],
    [
      'nested functions',
      { 'Fn::Join': ['-', ['a', { 'Fn::Select': [1, { 'Fn::Split': [':', 'x:y'] }] }]] },
      'a-y',
    ],
    [
      'names in a text',
      { 'Fn::Sub': `\${AWS::StackName}/\${Warmer.Arn}/\${!kept}` },
      `prewarm-local/${warmerArn}/\${kept}`,
    ],
    ['variables in a text', { 'Fn::Sub': [`\${a}\${Queue}`, { a: { Ref: 'Version' } }] }, '7Queue'],
  ])('resolves %s', (_, value, expected) => {
    expect(resolveValue(value, scope)).toEqual(expected);
  });

  it('leaves out what is AWS::NoValue', () => {
    const nothing = { Ref: 'AWS::NoValue' };

    expect(resolveValue({ a: nothing, b: [nothing, 1] }, scope)).toEqual({ b: [1] });
  });

  it('names what it does not implement, and what is not there', () => {
    expect(() => resolveValue({ 'Fn::If': ['a', 1, 2] }, scope)).toThrow('does not implement Fn::If');
    expect(() => resolveValue({ Ref: 'Missing' }, scope)).toThrow('"Missing"');
    expect(() => resolveValue({ 'Fn::Select': [3, ['a']] }, scope)).toThrow('no item 3');
  });
});
