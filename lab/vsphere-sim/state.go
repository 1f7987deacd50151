package main

import (
	"io/fs"
	"path"
	"path/filepath"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

type diskState struct {
	Key       int32  `json:"key"`
	UUID      string `json:"uuid"`
	Datastore string `json:"datastore"`
	File      string `json:"file"`
}

type vmState struct {
	Ref          string      `json:"ref"`
	InstanceUUID string      `json:"instanceUuid"`
	Vmx          string      `json:"vmx"`
	Host         string      `json:"host"`
	RunsOn       string      `json:"runsOn,omitempty"`
	Power        string      `json:"power"`
	Connection   string      `json:"connection"`
	ToldCopy     bool        `json:"toldCopy,omitempty"`
	Networks     []string    `json:"networks"`
	Disks        []diskState `json:"disks"`
}

type hostState struct {
	Ref        string `json:"ref"`
	Connection string `json:"connection"`
}

// datastoreState is read from the file system. The same name occurs once per datacenter.
type datastoreState struct {
	Ref   string   `json:"ref"`
	Name  string   `json:"name"`
	Path  string   `json:"path"`
	Files []string `json:"files"`
}

type worldState struct {
	VMs        map[string]vmState   `json:"vms"`
	Absent     []string             `json:"absent"`
	Hosts      map[string]hostState `json:"hosts"`
	Datastores []datastoreState     `json:"datastores"`
	Guests     map[string]string    `json:"guests"`
}

// state is what is really so: the second observer, which asks no API.
func (w *world) state() worldState {
	s := worldState{VMs: map[string]vmState{}, Hosts: map[string]hostState{}, Guests: map[string]string{}, Absent: []string{}}
	ctx := w.turn()
	for _, vm := range w.vms() {
		ctx.WithLock(vm, func() {
			seen := vmState{
				Ref: vm.Self.Value, InstanceUUID: vm.Config.InstanceUuid, Vmx: vmxOf(vm), Power: string(vm.Runtime.PowerState),
				Connection: string(vm.Runtime.ConnectionState),
			}
			if host := w.hostOf(vm); host != nil {
				seen.Host = host.Name
			}
			seen.Networks = networksOf(vm)
			for _, disk := range disksOf(vm) {
				b := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
				seen.Disks = append(seen.Disks, diskState{disk.Key, b.Uuid, b.Datastore.Value, b.FileName})
			}
			s.VMs[vm.Name] = seen
		})
	}
	for _, host := range w.hosts() {
		s.Hosts[host.Name] = hostState{host.Self.Value, string(host.Runtime.ConnectionState)}
	}
	w.locked(func() {
		for vmx, host := range w.guests {
			s.Guests[vmx] = host
		}
		for vmx := range w.absent {
			s.Absent = append(s.Absent, vmx)
		}
		for name, vm := range s.VMs {
			vm.RunsOn, vm.ToldCopy = w.guests[vm.Vmx], w.copied[moref{Type: "VirtualMachine", Value: vm.Ref}]
			s.VMs[name] = vm
		}
	})
	for _, ds := range w.stores() {
		s.Datastores = append(s.Datastores, datastoreState{ds.Self.Value, ds.Name, ds.Summary.Url, filesBelow(ds.Summary.Url)})
	}
	return s
}

// networksOf names what the VM's cards hang on: a standard port group by its name, a distributed one by its key.
func networksOf(vm *simulator.VirtualMachine) []string {
	names := []string{}
	for _, device := range vm.Config.Hardware.Device {
		switch b := device.GetVirtualDevice().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			names = append(names, b.DeviceName)
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			names = append(names, b.Port.PortgroupKey)
		}
	}
	return names
}

func filesBelow(folder string) []string {
	files := []string{}
	_ = filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path.Ext(file) == ".vmdk" {
			below, _ := filepath.Rel(folder, file)
			files = append(files, below)
		}
		return nil
	})
	return files
}
