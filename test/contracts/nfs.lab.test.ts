import { describeAtLengthOnStorageLab, describeOnStorageLab } from '../support/storage-lab';
import { runContract } from './contract';
import { openNfsAccess, openNfsLocks } from './nfs-subjects';
import { storageAccessContract } from './storage-access.contract';
import { storageLocksContract } from './storage-locks.contract';

// A case takes seconds: everybody is brought back from a saved state before it. The first to come makes that state, from cold.
jest.setTimeout(600_000);

describeOnStorageLab('on a real NFS server', () => {
  const v3 = openNfsLocks({ version: '3' }, 'nfs3-notify');
  runContract('storageLocks', 'nfs3-notify', storageLocksContract, v3, 'suite');

  const access3 = openNfsAccess({ version: '3' }, 'nfs3-notify');
  runContract('storageAccess', 'exportfs', storageAccessContract, access3, 'suite');

  const v4 = openNfsLocks({ version: '4.2' }, 'nfs4-expire');
  runContract('storageLocks', 'nfs4-expire', storageLocksContract, v4, 'suite');
});

describeAtLengthOnStorageLab('on a real NFS server, at length', () => {
  const access4 = openNfsAccess({ version: '4.2' }, 'nfs4-expire');
  runContract('storageAccess', 'exportfs (NFSv4)', storageAccessContract, access4, 'suite');
});
