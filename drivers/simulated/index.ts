/** A datacenter without hardware: for the demo where the real lab cannot run, and for every test that has to see the world. */
export { CallDesk, type CallHooks } from './call-desk';
export { connectSimulated, type SimulatedConnection } from './connect';
export { controlsOf, type RemoteControls, type WorldControls } from './controls';
export { definitionText, parseDefinition, shapeOf } from './definition-text';
export type { FaultRule, Strike } from './fault-rules';
export type { Effect, JournalEntry, PortName } from './journal';
export { fleetOf, sampleWorld, type SampleOptions, vmsOn } from './sample-world';
export { serveSimulated, type SimulatedServer } from './server';
export { simulatedPorts, type SimulatedPorts } from './simulated-ports';
export { startSimulatedProcess, type SimulatedProcess } from './start-process';
export { World } from './world';
export type { DeviceMode, ProcessInterval, WorldSnapshot } from './world-state';
export type { Costs, GuestHealth, WorldSpec } from './world-spec';
