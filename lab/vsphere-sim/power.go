package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// question is what a VM asks at its first start after it was registered elsewhere.
type question struct {
	id     string
	answer chan string
}

const (
	choiceCancel = "0"
	choiceMoved  = "1"
	choiceCopied = "2"
)

// poweredVM answers the calls that depend on where a process of the VM really exists.
type poweredVM struct {
	*simulator.VirtualMachine
	w *world
}

// PowerOnVMTask asks whether the VM was moved or copied if it was registered elsewhere, and fails as the file lock makes it fail when
// another host still runs it.
func (v *poweredVM) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	w, vm := v.w, v.VirtualMachine
	task := w.ownTask(ctx, vm, "PowerOnVM_Task", "VirtualMachine.powerOn")
	go func() {
		w.set(task, change("info.state", types.TaskInfoStateRunning))
		w.endTask(task, w.powerOn(vm))
	}()
	return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: task.Self}}
}

func (w *world) powerOn(vm *simulator.VirtualMachine) types.BaseMethodFault {
	w.mu.Lock()
	asks, runsOn := w.changed[vm.Self], w.guests[vmxOf(vm)]
	w.mu.Unlock()
	host := w.hostOf(vm)
	switch {
	case vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn:
		return &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: vm.Runtime.PowerState}
	case host.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
		return &types.InvalidHostConnectionState{}
	case host.Runtime.InMaintenanceMode:
		return &types.InvalidState{}
	case runsOn != "" && runsOn != host.Name:
		return &types.FileLocked{FileFault: types.FileFault{File: backingOf(disksOf(vm)[0]).FileName}}
	}
	if asks {
		switch w.ask(vm) {
		case choiceMoved:
		case choiceCopied:
			w.becomeCopy(vm)
		default:
			return &types.VmConfigFault{}
		}
	}
	now := time.Now()
	w.locked(func() {
		delete(w.changed, vm.Self)
		w.guests[vmxOf(vm)] = host.Name
	})
	w.set(vm, append(power(types.VirtualMachinePowerStatePoweredOn), change("runtime.bootTime", &now))...)
	return nil
}

// ask shows the question on the VM and waits for its answer.
func (w *world) ask(vm *simulator.VirtualMachine) string {
	q := &question{id: "sim-uuid-altered", answer: make(chan string, 1)}
	w.locked(func() { w.asking[vm.Self] = q })
	choice := func(key, label string) types.BaseElementDescription {
		return &types.ElementDescription{Description: types.Description{Label: label, Summary: label}, Key: key}
	}
	info := types.VirtualMachineQuestionInfo{
		Id:   q.id,
		Text: "msg.uuid.altered:This virtual machine might have been moved or copied.",
		Choice: types.ChoiceOption{ChoiceInfo: []types.BaseElementDescription{
			choice(choiceCancel, "button.uuid.cancel"),
			choice(choiceMoved, "button.uuid.movedTheVM"),
			choice(choiceCopied, "button.uuid.copiedTheVM"),
		}},
		Message: []types.VirtualMachineMessage{{Id: "msg.uuid.altered", Text: "This virtual machine might have been moved or copied."}},
	}
	w.set(vm, change("runtime.question", &info))
	answer := <-q.answer
	w.set(vm, change("runtime.question", nil))
	w.locked(func() { delete(w.asking, vm.Self) })
	return answer
}

// becomeCopy gives the VM another identity, as a real one takes when it is told that it is a copy.
func (w *world) becomeCopy(vm *simulator.VirtualMachine) {
	w.locked(func() { w.copied[vm.Self] = true })
	fresh := newIdentity()
	w.set(vm, change("config.uuid", fresh), change("summary.config.uuid", fresh),
		change("config.instanceUuid", newIdentity()))
	w.set(vm, change("summary.config.instanceUuid", vm.Config.InstanceUuid))
}

// AnswerVM gives a pending question its answer.
func (v *poweredVM) AnswerVM(_ *simulator.Context, req *types.AnswerVM) soap.HasFault {
	v.w.mu.Lock()
	q := v.w.asking[v.Self]
	v.w.mu.Unlock()
	if q == nil || q.id != req.QuestionId {
		return &methods.AnswerVMBody{Fault_: simulator.Fault("", &types.InvalidArgument{InvalidProperty: "questionId"})}
	}
	select {
	case q.answer <- req.AnswerChoice:
	default:
		// It was answered a moment ago.
	}
	return &methods.AnswerVMBody{Res: &types.AnswerVMResponse{}}
}

func (v *poweredVM) PowerOffVMTask(ctx *simulator.Context, req *types.PowerOffVM_Task) soap.HasFault {
	answer := v.VirtualMachine.PowerOffVMTask(ctx, req)
	v.w.locked(func() { delete(v.w.guests, vmxOf(v.VirtualMachine)) })
	return answer
}

// UnregisterVM also keeps what left, so that it can be registered again as what it was.
func (v *poweredVM) UnregisterVM(ctx *simulator.Context, req *types.UnregisterVM) soap.HasFault {
	vm := v.VirtualMachine
	if dead := vm.Runtime.ConnectionState == types.VirtualMachineConnectionStateDisconnected; dead {
		// A process may still exist on a host that does not answer; what vCenter says of its power is old.
		ctx.Update(vm, power(types.VirtualMachinePowerStatePoweredOff))
	}
	answer := vm.UnregisterVM(ctx, &types.UnregisterVM{This: vm.Self})
	if answer.Fault() == nil {
		v.w.locked(func() { v.w.absent[vmxOf(vm)] = vm })
	}
	return answer
}

func vmxOf(vm *simulator.VirtualMachine) string { return vm.Config.Files.VmPathName }

func power(state types.VirtualMachinePowerState) []types.PropertyChange {
	heartbeat := types.ManagedEntityStatusGray
	if state == types.VirtualMachinePowerStatePoweredOn {
		heartbeat = types.ManagedEntityStatusGreen
	}
	return []types.PropertyChange{
		change("runtime.powerState", state), change("summary.runtime.powerState", state), change("guestHeartbeatStatus", heartbeat),
	}
}

func connection(state types.VirtualMachineConnectionState) []types.PropertyChange {
	return []types.PropertyChange{change("runtime.connectionState", state), change("summary.runtime.connectionState", state)}
}
