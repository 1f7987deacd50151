export { createWebhook, type WebhookSetup } from './webhook';
