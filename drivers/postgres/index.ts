export { openInventory, type InventoryOptions, type OpenInventory } from './inventory';
export { migrateInventory } from './migrate';
export { sha256 } from './timeline-rows';
