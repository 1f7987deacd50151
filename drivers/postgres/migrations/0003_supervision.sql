CREATE TABLE "arm_switches" (
	"scope" text PRIMARY KEY NOT NULL,
	"armed" boolean NOT NULL,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "fleet_owner" (
	"only" integer PRIMARY KEY DEFAULT 1 NOT NULL,
	"owner_id" text NOT NULL,
	"name" text NOT NULL,
	"claimed_at" timestamp (3) with time zone NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL
);
