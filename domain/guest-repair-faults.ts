/** What the repair of a guest can end with: part of the table in `faults.ts`. */
export const guestRepairFaults = {
  REPAIR_REFUSED: {
    class: 'permanent',
    sentence: 'The guest of {vm} is not repaired: {detail}',
    next: 'cure the cause named, or go by the steps of vmedic vm show {vm}; nothing was touched',
  },
  REPAIR_FAILED: {
    class: 'permanent',
    sentence: '{what} of {vm} on {host} came to nothing: {detail}',
    next: 'runbook "guest-degraded"',
  },
  REPAIR_NOT_HELPED: {
    class: 'permanent',
    sentence: 'The repair of {vm} did not help, and its disks are as they were before: {detail}',
    next: 'look at its console; runbook "guest-degraded"',
  },
} as const;
