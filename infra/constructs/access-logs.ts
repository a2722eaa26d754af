/** The API's access logs: what an engineer on call asks of a request, and nothing about the person behind it. */
import { RemovalPolicy } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

export function createAccessLogs(scope: Construct, id: string, retention: RetentionDays): LogGroup {
  return new LogGroup(scope, id, { retention, removalPolicy: RemovalPolicy.DESTROY });
}

/**
 * One JSON object a line, without address, token or user; `client` is the program that calls. What a request has no value
 * for, such as the firewall's answer without a firewall, comes out as "-".
 */
export function accessLogFormat(): AccessLogFormat {
  const fields = {
    traceId: '$context.requestId',
    client: '$context.authorizer.client',
    method: '$context.httpMethod',
    route: '$context.resourcePath',
    status: '$context.status',
    error: '$context.error.responseType',
    latencyMs: '$context.responseLatency',
    responseBytes: '$context.responseLength',
    authorizerStatus: '$context.authorizer.status',
    authorizerLatencyMs: '$context.authorizer.latency',
    integrationStatus: '$context.integrationStatus',
    integrationLatencyMs: '$context.integrationLatency',
    firewall: '$context.wafResponseCode',
  };
  return AccessLogFormat.custom(JSON.stringify(fields));
}
