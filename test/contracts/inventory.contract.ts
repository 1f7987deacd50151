/** What every inventory owes, whichever PostgreSQL is beneath it. */
import { deliveryCases } from './inventory/deliveries.cases';
import { discoveryCases } from './inventory/discovery.cases';
import { alertCases, evidenceCases, fenceDeviceCases } from './inventory/evidence.cases';
import { frontDoorCases } from './inventory/front-door.cases';
import { hostCases } from './inventory/hosts.cases';
import { incidentCases } from './inventory/incidents.cases';
import { readinessCases } from './inventory/readiness.cases';
import { reservationCases } from './inventory/reservations.cases';
import type { InventoryCase } from './inventory/samples';
import { supervisionCases } from './inventory/supervision.cases';
import { timelineCases } from './inventory/timeline.cases';
import { vmCases } from './inventory/vms.cases';

export type { InventoryCase, InventorySubject } from './inventory/samples';

export const inventoryCases: readonly InventoryCase[] = [
  ...hostCases,
  ...vmCases,
  ...discoveryCases,
  ...reservationCases,
  ...incidentCases,
  ...timelineCases,
  ...evidenceCases,
  ...fenceDeviceCases,
  ...alertCases,
  ...supervisionCases,
  ...deliveryCases,
  ...frontDoorCases,
  ...readinessCases,
];
