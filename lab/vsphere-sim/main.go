// vsphere-sim is a vCenter for tests and for the lab: govmomi's simulator, in which a relocation really moves disks, a host can lose its
// power, and everything can be told, while it runs, to fail or to lie. It says nothing of itself that a vCenter would not say; what is
// really so is told by GET /state, from memory and from the file system.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
)

type options struct {
	listen, control, username, apiVersion string
	tls, lax, withStdin, ownUUIDs         bool
	disks                                 int
	diskBytes                             int64
}

// ready is the one line on stdout, printed when both addresses are served.
type ready struct {
	SDK      string `json:"sdk"`
	Control  string `json:"control"`
	CA       string `json:"ca"`
	SHA256   string `json:"sha256"`
	Username string `json:"username"`
	Home     string `json:"home"`
	PID      int    `json:"pid"`
	StartMs  int64  `json:"startMs"`
}

func main() {
	log.SetFlags(log.Lmicroseconds)
	model := simulator.VPX()
	o := parseFlags(model)
	if err := run(model, o); err != nil {
		log.Fatal(err)
	}
}

func parseFlags(model *simulator.Model) options {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the SDK")
	flag.StringVar(&o.control, "control", "127.0.0.1:0", "address of the control port: loopback only, it asks for no password")
	flag.StringVar(&o.username, "username", "sim-user", "the one user that may log in; the password comes from VSPHERE_SIM_PASSWORD")
	flag.StringVar(&o.apiVersion, "api-version", "8.0.3.0", "about.apiVersion")
	flag.BoolVar(&o.tls, "tls", true, "serve the SDK over TLS, with a certificate made at the start")
	flag.BoolVar(&o.lax, "lax", false, "accept XML that a vCenter refuses")
	flag.BoolVar(&o.withStdin, "exit-with-stdin", false, "end when stdin is closed, so that nothing outlives who started it")
	flag.BoolVar(&o.ownUUIDs, "own-uuids", false, "VMs have UUIDs that no other simulator's have; otherwise they derive from their names")
	flag.IntVar(&o.disks, "disks", 2, "disks per VM")
	flag.Int64Var(&o.diskBytes, "disk-bytes", 64<<10, "bytes in each disk's extent, so that copies can be compared")
	flag.IntVar(&model.Datacenter, "dc", 1, "datacenters")
	flag.IntVar(&model.Cluster, "cluster", 1, "clusters per datacenter")
	flag.IntVar(&model.ClusterHost, "host", 3, "hosts per cluster")
	flag.IntVar(&model.Host, "standalone-host", 0, "hosts outside a cluster, per datacenter")
	flag.IntVar(&model.Datastore, "ds", 3, "datastores per datacenter")
	flag.IntVar(&model.Machine, "vm", 2, "VMs per resource pool")
	flag.IntVar(&model.Pod, "pod", 0, "datastore clusters per datacenter")
	flag.BoolVar(&model.Autostart, "autostart", false, "power the VMs on")
	flag.Parse()
	return o
}

func run(model *simulator.Model, o options) error {
	began := time.Now()
	// In arguments it could be read by everyone on the machine.
	password := os.Getenv("VSPHERE_SIM_PASSWORD")
	if password == "" {
		password = "sim-password"
	}
	// A stock task holds its object's lock while it runs, and every read of the VM waits for its end.
	simulator.TaskDelay.MethodDelay = map[string]int{"LockHandoff": 0}
	// The stock value is a constant, and it is what a client tells one vCenter from another by.
	model.ServiceContent.About.InstanceUuid = uuid.NewString()
	model.ServiceContent.About.ApiVersion = o.apiVersion
	if err := model.Create(); err != nil {
		return err
	}
	defer model.Remove()

	w := newWorld(model)
	w.gate.lax = o.lax
	if err := w.shape(o.disks, o.diskBytes); err != nil {
		return err
	}
	if o.ownUUIDs {
		for _, vm := range w.vms() {
			id := uuid.NewString()
			vm.Config.InstanceUuid, vm.Summary.Config.InstanceUuid = id, id
		}
	}
	w.addAutoStartManagers()
	line := ready{Username: o.username, Home: w.home(), PID: os.Getpid()}
	model.Service.Listen = &url.URL{Host: o.listen, User: url.UserPassword(o.username, password)}
	if o.tls {
		made, err := selfSigned(time.Now())
		if err != nil {
			return err
		}
		line.CA, line.SHA256 = made.pem, made.sha256
		model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{made.pair}, MinVersion: tls.VersionTLS12}
	}
	model.Map().Handler = w.route
	server := model.Service.NewServer()
	server.Config.Handler = w.gate.wrap(server.Config.Handler)

	listener, err := net.Listen("tcp", o.control)
	if err != nil {
		return err
	}
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		return fmt.Errorf("the control port asks for no password, and %s can be reached from outside", ip)
	}
	go func() { log.Fatal(http.Serve(listener, w.controlPort())) }()

	line.SDK, line.Control = withoutUser(server.URL), "http://"+listener.Addr().String()
	line.StartMs = time.Since(began).Milliseconds()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return err
	}
	waitForEnd(o.withStdin)
	return nil
}

func withoutUser(u *url.URL) string {
	plain := *u
	plain.User = nil
	return plain.String()
}

func waitForEnd(withStdin bool) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	if withStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGTERM
		}()
	}
	<-stop
}
