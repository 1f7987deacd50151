// temporal-cluster is Temporal's own server, as it runs on PostgreSQL in production, and its schema tool, in one program. The packaged server
// reads its settings the same way; the two are built together because what costs is compiling the server, once.
//
//	temporal-cluster schema ...            the arguments of temporal-sql-tool
//	temporal-cluster server CONFIG-FILE    all four services in this process, until SIGTERM
package main

import (
	"fmt"
	"os"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql" // the plugin "postgres12"
	"go.temporal.io/server/temporal"
	"go.temporal.io/server/tools/sql"
)

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) > 1 && args[1] == "schema":
		return sql.RunTool(append([]string{"schema"}, args[2:]...))
	case len(args) == 3 && args[1] == "server":
		return serve(args[2])
	default:
		return fmt.Errorf("usage: temporal-cluster schema ... | server CONFIG-FILE")
	}
}

// Nobody is asked who they are: it listens on loopback alone, and says so by its config.
func serve(file string) error {
	cfg, err := config.Load(config.WithConfigFile(file))
	if err != nil {
		return err
	}
	server, err := temporal.NewServer(
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithConfig(cfg),
		temporal.InterruptOn(temporal.InterruptCh()),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
	)
	if err != nil {
		return err
	}
	return server.Start()
}
