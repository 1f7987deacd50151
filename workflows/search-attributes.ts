/** Search attributes, few on purpose: SQL visibility allows ten Keywords, three of them taken already. */
import {
  defineSearchAttributeKey,
  SearchAttributeType,
  type SearchAttributePair,
  TypedSearchAttributes,
} from '@temporalio/common';
import { upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { searchAttributeNames } from './inputs';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
export const searchAttributes = {
  vmId: keyword(searchAttributeNames.vmId),
  hostId: keyword(searchAttributeNames.hostId),
  incidentId: keyword(searchAttributeNames.incidentId),
  phase: keyword(searchAttributeNames.phase),
} as const;

/** What a run is about, for its start options. A disk that belongs to no VM is found by its incident. */
export function subject(of: {
  readonly incidentId: IncidentId;
  readonly hostId?: HostId | undefined;
  readonly vmId?: VmId | undefined;
}): TypedSearchAttributes {
  const pairs: SearchAttributePair[] = [{ key: searchAttributes.incidentId, value: of.incidentId }];
  if (of.hostId !== undefined) pairs.push({ key: searchAttributes.hostId, value: of.hostId });
  if (of.vmId !== undefined) pairs.push({ key: searchAttributes.vmId, value: of.vmId });
  return new TypedSearchAttributes(pairs);
}

/** Whether this run has said before in which phase it is. */
export const phaseIsShown = (): boolean =>
  workflowInfo().typedSearchAttributes.get(searchAttributes.phase) !== undefined;

/** Only when a run starts to wait for a person, and at its end: an upsert costs a workflow task. */
export function showPhase(phase: string): void {
  upsertSearchAttributes([{ key: searchAttributes.phase, value: phase }]);
}
