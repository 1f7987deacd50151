export { alertName, createAlertmanager, heartbeatName, type AlertmanagerSetup } from './alertmanager';
