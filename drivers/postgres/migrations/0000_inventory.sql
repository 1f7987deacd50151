CREATE TABLE "alerts" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "alerts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"key" text NOT NULL,
	"severity" text NOT NULL,
	"sentence" text NOT NULL,
	"next_command" text,
	"incident_id" text,
	"raised_at" timestamp (3) with time zone NOT NULL,
	"cleared_at" timestamp (3) with time zone,
	CONSTRAINT "alerts_once" UNIQUE("key","raised_at")
);
--> statement-breakpoint
CREATE TABLE "definitions" (
	"vm_id" text NOT NULL,
	"version" integer NOT NULL,
	"text" text NOT NULL,
	"digest" text NOT NULL,
	"read_from" text NOT NULL,
	"read_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "definitions_vm_id_version_pk" PRIMARY KEY("vm_id","version")
);
--> statement-breakpoint
CREATE TABLE "evidence" (
	"evidence_id" text PRIMARY KEY NOT NULL,
	"host_id" text NOT NULL,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"body" jsonb NOT NULL,
	"lapsed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "fence_devices" (
	"device_id" text PRIMARY KEY NOT NULL,
	"last_refused_at" timestamp (3) with time zone,
	"last_answer_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "fence_refusals" (
	"device_id" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "fence_refusals_device_id_at_pk" PRIMARY KEY("device_id","at")
);
--> statement-breakpoint
CREATE TABLE "hosts" (
	"host_id" text PRIMARY KEY NOT NULL,
	"cluster_id" text NOT NULL,
	"standing" text DEFAULT 'in-service' NOT NULL,
	"boot_id" text,
	"last_seen_at" timestamp (3) with time zone,
	"version" integer DEFAULT 1 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "incidents" (
	"incident_id" text PRIMARY KEY NOT NULL,
	"target_kind" text NOT NULL,
	"target_id" text NOT NULL,
	"cluster_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"phase" text DEFAULT 'suspect' NOT NULL,
	"summary" text DEFAULT '' NOT NULL,
	"next_command" text,
	"outcome" text,
	"opened_at" timestamp (3) with time zone NOT NULL,
	"closed_at" timestamp (3) with time zone,
	"triggers" jsonb NOT NULL,
	"triggers_dropped" integer DEFAULT 0 NOT NULL,
	"workflow_id" text NOT NULL,
	"version" integer DEFAULT 1 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "reservations" (
	"vm_id" text PRIMARY KEY NOT NULL,
	"host_id" text NOT NULL,
	"incident_id" text NOT NULL,
	"memory_mib" integer NOT NULL,
	"vcpus" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sightings" (
	"vm_id" text NOT NULL,
	"host_id" text NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "sightings_vm_id_host_id_pk" PRIMARY KEY("vm_id","host_id")
);
--> statement-breakpoint
CREATE TABLE "timeline" (
	"incident_id" text NOT NULL,
	"seq" integer NOT NULL,
	"key" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"kind" text NOT NULL,
	"sentence" text NOT NULL,
	"facts" jsonb NOT NULL,
	"previous_hash" text NOT NULL,
	"hash" text NOT NULL,
	CONSTRAINT "timeline_incident_id_seq_pk" PRIMARY KEY("incident_id","seq"),
	CONSTRAINT "timeline_key" UNIQUE("incident_id","key")
);
--> statement-breakpoint
CREATE TABLE "vms" (
	"vm_id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"cluster_id" text NOT NULL,
	"host_id" text NOT NULL,
	"desired" text NOT NULL,
	"observed_state" text NOT NULL,
	"observed_reason" text NOT NULL,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"protected" boolean NOT NULL,
	"declared_protected" boolean NOT NULL,
	"persistent" boolean NOT NULL,
	"priority" integer NOT NULL,
	"anti_affinity" text,
	"memory_mib" integer NOT NULL,
	"vcpus" integer NOT NULL,
	"disks" jsonb NOT NULL,
	"networks" jsonb NOT NULL,
	"console_path" text,
	"definition_version" integer DEFAULT 0 NOT NULL,
	"epoch" integer DEFAULT 0 NOT NULL,
	"version" integer DEFAULT 1 NOT NULL
);
--> statement-breakpoint
ALTER TABLE "definitions" ADD CONSTRAINT "definitions_vm_id_vms_vm_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("vm_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "reservations" ADD CONSTRAINT "reservations_vm_id_vms_vm_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("vm_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "reservations" ADD CONSTRAINT "reservations_host_id_hosts_host_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("host_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sightings" ADD CONSTRAINT "sightings_vm_id_vms_vm_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("vm_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sightings" ADD CONSTRAINT "sightings_host_id_hosts_host_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("host_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "timeline" ADD CONSTRAINT "timeline_incident_id_incidents_incident_id_fk" FOREIGN KEY ("incident_id") REFERENCES "public"."incidents"("incident_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_host_id_hosts_host_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("host_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "alerts_one_open" ON "alerts" USING btree ("key") WHERE cleared_at is null;--> statement-breakpoint
CREATE INDEX "evidence_by_host" ON "evidence" USING btree ("host_id","observed_at");--> statement-breakpoint
CREATE UNIQUE INDEX "incidents_one_open" ON "incidents" USING btree ("target_kind","target_id") WHERE closed_at is null;--> statement-breakpoint
CREATE INDEX "incidents_newest" ON "incidents" USING btree ("opened_at");--> statement-breakpoint
CREATE INDEX "reservations_by_host" ON "reservations" USING btree ("host_id");--> statement-breakpoint
CREATE INDEX "sightings_by_host" ON "sightings" USING btree ("host_id");--> statement-breakpoint
CREATE INDEX "vms_by_host" ON "vms" USING btree ("host_id");--> statement-breakpoint
CREATE INDEX "vms_by_cluster" ON "vms" USING btree ("cluster_id");