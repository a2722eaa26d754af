/** A name of our own for the API: regional, modern TLS only, and its records where the hosted zone is known. */
import { CfnOutput, Stack } from 'aws-cdk-lib';
import {
  type CfnDomainName,
  DomainName,
  EndpointAccessMode,
  EndpointType,
  IpAddressType,
  type RestApi,
  SecurityPolicy,
} from 'aws-cdk-lib/aws-apigateway';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { AaaaRecord, ARecord, HostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { ApiGatewayDomain } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { Domain } from '../stage-config.ts';

export type CustomDomainProps = { readonly api: RestApi; readonly domain: Domain };

/**
 * TLS 1.3, or 1.2 with forward secrecy, and only for the name that the certificate was asked for. The API and its domain
 * must agree, because the API's policy counts for requests that come through the domain as well.
 */
export const tls = {
  securityPolicy: SecurityPolicy.TLS13_1_2_PFS_PQ_2025_09,
  endpointAccessMode: EndpointAccessMode.STRICT,
} as const;

/** The whole name belongs to the API: its paths begin at the root. */
export class CustomDomain extends Construct {
  /** With a slash at its end, like the API's own address. */
  readonly url: string;

  constructor(scope: Construct, id: string, { api, domain }: CustomDomainProps) {
    super(scope, id);
    const name = new DomainName(this, 'Name', {
      ...tls,
      domainName: domain.name,
      certificate: Certificate.fromCertificateArn(this, 'Certificate', domain.certificateArn),
      endpointType: EndpointType.REGIONAL,
    });
    name.addBasePathMapping(api);
    const resource = name.node.defaultChild as CfnDomainName;
    resource.endpointConfiguration = {
      types: [EndpointType.REGIONAL],
      ipAddressType: IpAddressType.DUAL_STACK,
    };
    if (domain.hostedZone) this.#addRecords(name, domain.name, domain.hostedZone);
    else new CfnOutput(Stack.of(this), 'DomainTarget', { value: name.domainNameAliasDomainName });
    this.url = `https://${domain.name}/`;
  }

  #addRecords(name: DomainName, recordName: string, { id, name: zoneName }: HostedZoneReference): void {
    const zone = HostedZone.fromHostedZoneAttributes(this, 'Zone', { hostedZoneId: id, zoneName });
    const target = RecordTarget.fromAlias(new ApiGatewayDomain(name));
    const record = { zone, recordName, target };
    new ARecord(this, 'Ipv4', record);
    new AaaaRecord(this, 'Ipv6', record);
  }
}

type HostedZoneReference = NonNullable<Domain['hostedZone']>;
