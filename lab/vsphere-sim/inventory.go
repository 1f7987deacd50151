package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func newIdentity() string { return uuid.NewString() }

// registeringFolder brings back a VM that left the inventory as what it was. The stock method makes one without disks.
type registeringFolder struct {
	*simulator.Folder
	w *world
}

func (f *registeringFolder) RegisterVMTask(ctx *simulator.Context, req *types.RegisterVM_Task) soap.HasFault {
	w := f.w
	w.mu.Lock()
	known := w.absent[req.Path]
	w.mu.Unlock()
	if known == nil {
		return f.Folder.RegisterVMTask(ctx, req)
	}
	task := w.ownTask(ctx, known, "RegisterVM_Task", "Folder.registerVm")
	go func() {
		w.set(task, change("info.state", types.TaskInfoStateRunning))
		ref, err := w.enterInventory(req.Path, req.Host)
		if err != nil {
			w.endTask(task, &types.AlreadyExists{Name: req.Path})
			return
		}
		w.set(task, change("info.result", ref))
		w.endTask(task, nil)
	}()
	return &methods.RegisterVM_TaskBody{Res: &types.RegisterVM_TaskResponse{Returnval: task.Self}}
}

// leaveInventory takes the VM out whatever it is doing, as a person can. Its files stay.
func (w *world) leaveInventory(vm *simulator.VirtualMachine) error {
	ctx := w.turn()
	var fault *soap.Fault
	ctx.WithLock(vm, func() {
		ctx.Update(vm, power(types.VirtualMachinePowerStatePoweredOff))
		fault = vm.UnregisterVM(ctx, &types.UnregisterVM{This: vm.Self}).Fault()
	})
	if fault != nil {
		return fmt.Errorf("%v", fault.VimFault())
	}
	w.locked(func() { w.absent[vmxOf(vm)] = vm })
	return nil
}

// enterInventory registers a VM that left: same UUIDs, same disks, another object. On another host it will ask what happened to it.
func (w *world) enterInventory(vmx string, host *moref) (moref, error) {
	w.mu.Lock()
	vm := w.absent[vmx]
	delete(w.absent, vmx)
	w.seq++
	ref := moref{Type: "VirtualMachine", Value: fmt.Sprintf("vm-%d", 800000+w.seq)}
	w.mu.Unlock()
	if vm == nil {
		return ref, fmt.Errorf("no VM with %s has left the inventory", vmx)
	}
	ctx := w.turn()
	vm.Self = ref
	if host != nil && *host != *vm.Runtime.Host {
		vm.Runtime.Host, vm.Summary.Runtime.Host = host, host
		w.locked(func() { w.changed[ref] = true })
	}
	vm.Summary.Vm = &ref
	vm.DisabledMethod = []string{}
	vm.Runtime.ConnectionState = types.VirtualMachineConnectionStateConnected
	vm.Summary.Runtime.ConnectionState = types.VirtualMachineConnectionStateConnected
	ctx.Map.Put(vm)
	if parent, ok := ctx.Map.Get(*vm.Parent).(*simulator.Folder); ok {
		ctx.Map.AddReference(ctx, parent, &parent.ChildEntity, ref)
	}
	if owner := w.hostOf(vm); owner != nil {
		ctx.Map.AddReference(ctx, owner, &owner.Vm, ref)
	}
	if pool, ok := ctx.Map.Get(*vm.ResourcePool).(*simulator.ResourcePool); ok {
		ctx.Map.AddReference(ctx, pool, &pool.Vm, ref)
	}
	for _, used := range vm.Datastore {
		if ds, ok := ctx.Map.Get(used).(*simulator.Datastore); ok {
			ctx.Map.AddReference(ctx, ds, &ds.Vm, ref)
		}
	}
	return ref, nil
}

func (w *world) ownTask(ctx *simulator.Context, entity mo.Entity, name, description string) *simulator.Task {
	ref, about := moref{Type: "Task", Value: fmt.Sprintf("task-%d", 700000+w.number())}, entity.Reference()
	task := &simulator.Task{}
	task.Self = ref
	task.Info = types.TaskInfo{
		Key: ref.Value, Task: ref, Name: name, DescriptionId: description, Entity: &about, EntityName: entity.Entity().Name,
		State: types.TaskInfoStateQueued, QueueTime: time.Now(), Reason: &types.TaskReasonUser{UserName: ctx.Session.UserName},
	}
	ctx.Map.Put(task)
	return task
}

func (w *world) endTask(task *simulator.Task, fault types.BaseMethodFault) {
	state := change("info.state", types.TaskInfoStateSuccess)
	changes := []types.PropertyChange{change("info.completeTime", time.Now())}
	if fault != nil {
		changes = append(changes, change("info.error", &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: "refused"}))
		state = change("info.state", types.TaskInfoStateError)
	}
	w.set(task, append(changes, state)...)
}

// forgetTasks makes Task objects vanish, as a restart of vCenter and time do. Work under way goes on.
func (w *world) forgetTasks(is func(moref) bool) int {
	ctx, forgotten := w.turn(), 0
	for _, task := range ctx.Map.AllReference("Task") {
		if ref := task.Reference(); is(ref) {
			ctx.Map.Remove(ctx, ref)
			forgotten++
		}
	}
	others := func(refs []moref) []moref {
		kept := []moref{}
		for _, ref := range refs {
			if !is(ref) {
				kept = append(kept, ref)
			}
		}
		return kept
	}
	manager := ctx.Map.Get(*w.model.ServiceContent.TaskManager).(*simulator.TaskManager)
	ctx.WithLock(manager, func() { ctx.Update(manager, []types.PropertyChange{change("recentTask", others(manager.RecentTask))}) })
	for _, vm := range w.vms() {
		ctx.WithLock(vm, func() { ctx.Update(vm, []types.PropertyChange{change("recentTask", others(vm.RecentTask))}) })
	}
	return forgotten
}

// expireSessions ends every session but the simulator's own.
func (w *world) expireSessions() int {
	ctx := context.Background()
	client, err := vim25.NewClient(ctx, w.model.Service)
	if err != nil {
		return 0
	}
	manager := *client.ServiceContent.SessionManager
	var sessions mo.SessionManager
	if err := mo.RetrieveProperties(ctx, client, client.ServiceContent.PropertyCollector, manager, &sessions); err != nil {
		return 0
	}
	ended := 0
	for _, session := range sessions.SessionList {
		request := &types.TerminateSession{This: manager, SessionId: []string{session.Key}}
		if _, err := methods.TerminateSession(ctx, client, request); err == nil {
			ended++
		}
	}
	return ended
}

// setHost changes what vCenter sees of a host. Power that is cut ends the guests there; a host that only falls silent keeps them.
func (w *world) setHost(host *simulator.HostSystem, link, powerState string, maintenance *bool) {
	if link != "" {
		w.set(host, change("runtime.connectionState", types.HostSystemConnectionState(link)),
			change("summary.runtime.connectionState", types.HostSystemConnectionState(link)))
		state := types.VirtualMachineConnectionStateConnected
		if link != "connected" {
			state = types.VirtualMachineConnectionStateDisconnected
		}
		for _, vm := range w.vms() {
			if *vm.Runtime.Host == host.Self {
				w.set(vm, connection(state)...)
			}
		}
	}
	if powerState != "" {
		w.set(host, change("runtime.powerState", types.HostSystemPowerState(powerState)))
	}
	if maintenance != nil {
		w.set(host, change("runtime.inMaintenanceMode", *maintenance))
	}
}

// cutPower ends every process on the host. vCenter notices only that it does not answer.
func (w *world) cutPower(host *simulator.HostSystem) {
	w.locked(func() {
		for vmx, on := range w.guests {
			if on == host.Name {
				delete(w.guests, vmx)
			}
		}
	})
	w.setHost(host, "notResponding", "", nil)
}

// destroyGuest ends the VM's process at its host.
func (w *world) destroyGuest(vm *simulator.VirtualMachine) {
	w.locked(func() { delete(w.guests, vmxOf(vm)) })
	w.set(vm, power(types.VirtualMachinePowerStatePoweredOff)...)
}
