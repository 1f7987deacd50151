package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func disksOf(vm *simulator.VirtualMachine) []*types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, device := range vm.Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

func backingOf(disk *types.VirtualDisk) *types.VirtualDeviceFileBackingInfo {
	return disk.Backing.(types.BaseVirtualDeviceFileBackingInfo).GetVirtualDeviceFileBackingInfo()
}

// extentOf is the file that holds a disk's bytes, beside its descriptor.
func extentOf(descriptor string) string {
	return strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk"
}

// copyDisk copies extent and descriptor. The descriptor names its extent, so it changes with the name.
func (w *world) copyDisk(vm *simulator.VirtualMachine, m diskMove, corrupt string) types.BaseMethodFault {
	from, to := w.fileOf(vm, m.from), w.fileOf(vm, m.to)
	content, err := os.ReadFile(extentOf(from))
	if err != nil {
		return fileFault(err, m.from.String())
	}
	descriptor, err := os.ReadFile(from)
	if err != nil {
		return fileFault(err, m.from.String())
	}
	switch corrupt {
	case "short":
		content = content[:len(content)/2]
	case "bytes":
		content = bytes.ReplaceAll(content, []byte("vmdk"), []byte("VMDK"))
	}
	text := strings.ReplaceAll(string(descriptor), path.Base(extentOf(from)), path.Base(extentOf(to)))
	if err := os.MkdirAll(path.Dir(to), 0o700); err != nil {
		return fileFault(err, m.to.String())
	}
	if err := os.WriteFile(extentOf(to), content, 0o600); err != nil {
		return fileFault(err, m.to.String())
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		return fileFault(err, m.to.String())
	}
	return nil
}

func fileFault(err error, file string) types.BaseMethodFault {
	if os.IsNotExist(err) {
		return &types.FileNotFound{FileFault: types.FileFault{File: file}}
	}
	return &types.CannotAccessFile{FileFault: types.FileFault{File: file}}
}

func (w *world) removeDisk(vm *simulator.VirtualMachine, p object.DatastorePath) {
	_ = os.Remove(w.fileOf(vm, p))
	_ = os.Remove(extentOf(w.fileOf(vm, p)))
}

// switchDisk lets the VM use the copy: backing, datastores, back-references, layout. Property collectors see a new device list.
func (w *world) switchDisk(vm *simulator.VirtualMachine, m diskMove) {
	ctx := w.turn()
	ctx.WithLock(vm, func() {
		devices := append([]types.BaseVirtualDevice(nil), vm.Config.Hardware.Device...)
		for i, device := range devices {
			disk, ok := device.(*types.VirtualDisk)
			if !ok || disk.Key != m.key {
				continue
			}
			moved := *disk
			backing := *disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			target := m.target
			backing.FileName, backing.Datastore = m.to.String(), &target
			moved.Backing = &backing
			devices[i] = &moved
		}
		ctx.Update(vm, []types.PropertyChange{
			change("config.hardware.device", devices),
			change("datastore", w.usedDatastores(ctx, vm, devices)),
		})
		vm.RefreshStorageInfo(ctx, nil)
	})
}

func (w *world) usedDatastores(ctx *simulator.Context, vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) []moref {
	files := []string{vm.Config.Files.VmPathName}
	for _, device := range devices {
		if disk, ok := device.(*types.VirtualDisk); ok {
			files = append(files, backingOf(disk).FileName)
		}
	}
	used := map[*simulator.Datastore]bool{}
	for _, file := range files {
		var p object.DatastorePath
		if p.FromString(file) {
			used[w.mounted(vm, p.Datastore)] = true
		}
	}
	var refs []moref
	for _, ds := range all[*simulator.Datastore](w, "Datastore") {
		if used[ds] {
			refs = append(refs, ds.Self)
			ctx.Map.AddReference(ctx, ds, &ds.Vm, vm.Self)
		} else {
			ctx.Map.RemoveReference(ctx, ds, &ds.Vm, vm.Self)
		}
	}
	return refs
}

// shape gives every VM its disks, and each extent bytes that name VM and disk. Stock extents are empty: all copies would be alike.
func (w *world) shape(perVM int, size int64) error {
	w.diskBytes = size
	for _, vm := range w.vms() {
		if err := w.giveDisks(vm, perVM); err != nil {
			return err
		}
		if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			w.guests[vmxOf(vm)] = w.hostOf(vm).Name
		}
	}
	return nil
}

// giveDisks adds disks until the VM has so many.
func (w *world) giveDisks(vm *simulator.VirtualMachine, disks int) error {
	ctx := context.Background()
	client, err := vim25.NewClient(ctx, w.model.Service)
	if err != nil {
		return err
	}
	machine := object.NewVirtualMachine(client, vm.Self)
	for n := len(disksOf(vm)) + 1; n <= disks; n++ {
		if err := addDisk(ctx, machine, fmt.Sprintf("[%s] %s/disk%d.vmdk", homeStore(vm), vm.Name, n)); err != nil {
			return err
		}
	}
	for _, disk := range disksOf(vm) {
		backing := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		backing.ThinProvisioned = types.NewBool(false)
		disk.CapacityInBytes, disk.CapacityInKB = w.diskBytes, w.diskBytes/1024
		var p object.DatastorePath
		p.FromString(backing.FileName)
		file := extentOf(w.fileOf(vm, p))
		line := []byte(path.Base(path.Dir(file)) + "/" + path.Base(file) + "\n")
		content := bytes.Repeat(line, int(w.diskBytes)/len(line)+1)[:w.diskBytes]
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func homeStore(vm *simulator.VirtualMachine) string {
	var p object.DatastorePath
	p.FromString(vm.Config.Files.VmPathName)
	return p.Datastore
}

func addDisk(ctx context.Context, machine *object.VirtualMachine, file string) error {
	devices, err := machine.Device(ctx)
	if err != nil {
		return err
	}
	controller, err := devices.FindDiskController("")
	if err != nil {
		return err
	}
	disk := devices.CreateDisk(controller, moref{}, file)
	disk.CapacityInKB = 1 << 10
	return machine.AddDevice(ctx, disk)
}

// pinnedDatastore keeps the free space that was ordered for it; the stock method reads it anew from the machine's disk.
type pinnedDatastore struct {
	*simulator.Datastore
	w *world
}

func (d *pinnedDatastore) RefreshDatastore(ctx *simulator.Context, req *types.RefreshDatastore) soap.HasFault {
	answer := d.Datastore.RefreshDatastore(ctx, req)
	d.w.mu.Lock()
	free, pinned := d.w.pinned[d.Name]
	d.w.mu.Unlock()
	if pinned {
		ctx.Update(d.Datastore, []types.PropertyChange{change("summary.freeSpace", free)})
	}
	return answer
}
