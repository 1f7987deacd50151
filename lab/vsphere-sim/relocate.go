package main

import (
	"fmt"
	"os"
	"path"
	"reflect"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// relocatableVM answers RelocateVM_Task.
type relocatableVM struct {
	*simulator.VirtualMachine
	w *world
}

func (v *relocatableVM) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	w, vm := v.w, v.VirtualMachine
	p := w.takePlan(vm.Name)
	refuse := func(why string, fault types.BaseMethodFault) soap.HasFault {
		return &methods.RelocateVM_TaskBody{Fault_: simulator.Fault(why, fault)}
	}
	if p.SubmitFault != "" {
		return refuse("refused by plan", faultNamed(p.SubmitFault, faultFacts{vm: vm.Self}))
	}
	if p.Stock {
		return vm.RelocateVMTask(ctx, req)
	}
	job := &relocation{w: w, vm: vm, plan: p,
		cancel: make(chan struct{}), goOn: make(chan struct{}, 8), ended: make(chan struct{})}
	if other := w.occupy(job); other != nil {
		return refuse("another relocation is under way", &types.TaskInProgress{Task: other.task.Self})
	}
	moves, fault := w.movesOf(ctx, vm, &req.Spec)
	if req.Spec.Host != nil {
		job.host, _ = ctx.Map.Get(*req.Spec.Host).(*simulator.HostSystem)
	}
	job.makeTask(ctx)
	go job.run(moves, fault)
	return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: job.task.Self}}
}

// occupy makes the job the VM's only one; the one that is there already is returned.
func (w *world) occupy(job *relocation) *relocation {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.busy[job.vm.Self]; other != nil {
		return other
	}
	w.seq++
	job.task = &simulator.Task{}
	job.task.Self = moref{Type: "Task", Value: fmt.Sprintf("task-%d", 700000+w.seq)}
	w.busy[job.vm.Self], w.jobs[job.task.Self] = job, job
	return nil
}

func (w *world) jobOf(task moref) *relocation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.jobs[task]
}

// jobUnderWay is the relocation of the VM of that name that has not ended.
func (w *world) jobUnderWay(vm string) *relocation {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, job := range w.busy {
		if job.vm.Name == vm {
			return job
		}
	}
	return nil
}

type diskMove struct {
	key      int32
	from, to object.DatastorePath
	target   moref
}

// movesOf reads a spec as vCenter does: a locator decides for its disk, spec.datastore takes along every disk that has none.
func (w *world) movesOf(ctx *simulator.Context, vm *simulator.VirtualMachine, spec *types.VirtualMachineRelocateSpec) ([]diskMove, types.BaseMethodFault) {
	located := map[int32]moref{}
	for _, locator := range spec.Disk {
		located[locator.DiskId] = locator.Datastore
	}
	var moves []diskMove
	taken := map[string]bool{}
	for n, disk := range disksOf(vm) {
		backing := backingOf(disk)
		target, ok := located[disk.Key]
		delete(located, disk.Key)
		if !ok && spec.Datastore != nil {
			target, ok = *spec.Datastore, true
		}
		if !ok || (backing.Datastore != nil && *backing.Datastore == target) {
			continue
		}
		ds, isThere := ctx.Map.Get(target).(*simulator.Datastore)
		if !isThere {
			return nil, &types.ManagedObjectNotFound{Obj: target}
		}
		if w.mounted(vm, ds.Name) != ds {
			return nil, &types.InvalidDatastore{Datastore: &target, Name: ds.Name}
		}
		move := diskMove{key: disk.Key, target: target, to: w.freeName(vm, ds, n, taken)}
		move.from.FromString(backing.FileName)
		moves = append(moves, move)
	}
	if len(located) > 0 {
		return nil, &types.InvalidArgument{InvalidProperty: "spec.disk.diskId"}
	}
	return moves, nil
}

// freeName is what vSphere calls a moved disk: after its VM, whatever it was called before.
func (w *world) freeName(vm *simulator.VirtualMachine, ds *simulator.Datastore, n int, taken map[string]bool) object.DatastorePath {
	for ; ; n++ {
		name := vm.Name
		if n > 0 {
			name = fmt.Sprintf("%s_%d", vm.Name, n)
		}
		p := object.DatastorePath{Datastore: ds.Name, Path: path.Join(vm.Name, name+".vmdk")}
		_, err := os.Stat(path.Join(ds.Summary.Url, p.Path))
		if os.IsNotExist(err) && !taken[p.String()] {
			taken[p.String()] = true
			return p
		}
	}
}

// relocation is one run of RelocateVM_Task. It drives a Task of its own: a stock one shows no progress, and lets CancelTask end the
// task while the work goes on.
type relocation struct {
	w      *world
	vm     *simulator.VirtualMachine
	task   *simulator.Task
	plan   plan
	host   *simulator.HostSystem // to which the VM goes as well; nil when it stays
	cancel chan struct{}
	goOn   chan struct{}
	ended  chan struct{}
}

func (j *relocation) makeTask(ctx *simulator.Context) {
	ref, entity := j.task.Self, j.vm.Self
	j.task.Info = types.TaskInfo{
		Key: ref.Value, Task: ref, Name: "RelocateVM_Task", DescriptionId: "VirtualMachine.relocate",
		Entity: &entity, EntityName: j.vm.Name, State: types.TaskInfoStateQueued, QueueTime: time.Now(),
		Cancelable:   j.plan.Cancel != "refuse",
		Reason:       &types.TaskReasonUser{UserName: ctx.Session.UserName},
		EventChainId: int32(j.w.number()),
	}
	ctx.Map.Put(j.task)
}

func (j *relocation) run(moves []diskMove, fault types.BaseMethodFault) {
	defer close(j.ended)
	w := j.w
	w.set(j.task, change("info.state", types.TaskInfoStateRunning), change("info.startTime", time.Now()))
	// On a real VM too, this is the only sign of a relocation that is left when its task is forgotten.
	w.set(j.vm, change("disabledMethod", []string{"RelocateVM_Task", "MigrateVM_Task", "UnregisterVM", "Destroy_Task"}))
	if fault == nil {
		fault = j.work(moves)
	}
	if fault == nil && j.plan.Fault != "" {
		facts := faultFacts{vm: j.vm.Self}
		if len(moves) > 0 {
			facts.file, facts.datastore = moves[0].to.String(), moves[0].to.Datastore
		}
		fault = faultNamed(j.plan.Fault, facts)
	}
	if j.plan.Orphan {
		w.set(j.vm, connection(types.VirtualMachineConnectionStateOrphaned)...)
	}
	w.set(j.vm, change("disabledMethod", []string{}))
	end := []types.PropertyChange{change("info.completeTime", time.Now())}
	if fault == nil {
		end = append(end, change("info.progress", int32(100)), change("info.state", types.TaskInfoStateSuccess))
	} else {
		said := types.LocalizedMethodFault{Fault: fault, LocalizedMessage: "the simulator ends it: " + reflect.TypeOf(fault).Elem().Name()}
		end = append(end, change("info.error", &said), change("info.state", types.TaskInfoStateError))
	}
	w.set(j.task, end...)
	w.locked(func() {
		if w.busy[j.vm.Self] == j {
			delete(w.busy, j.vm.Self)
		}
	})
}

func (j *relocation) work(moves []diskMove) types.BaseMethodFault {
	switching := len(moves)
	if j.plan.Move != nil {
		switching = min(switching, *j.plan.Move)
	}
	copying := min(len(moves), switching+j.plan.CopyOnly)
	j.reach("before")
	for i, move := range moves {
		if fault := j.spendTime(i, len(moves)); fault != nil {
			return fault
		}
		if i < copying && !j.plan.Ghost {
			if fault := j.w.copyDisk(j.vm, move, j.plan.Corrupt); fault != nil {
				return fault
			}
		}
		if i < switching && !j.gone() {
			j.w.switchDisk(j.vm, move)
			if !j.plan.KeepSource {
				j.w.removeDisk(j.vm, move.from)
			}
		}
		if i == 0 {
			j.reach("between")
		}
	}
	j.reach("after")
	if j.host != nil && !j.gone() {
		j.w.place(j.vm, j.host)
	}
	if j.gone() && !j.plan.GoneOk {
		return &types.ManagedObjectNotFound{Obj: j.vm.Self}
	}
	return nil
}

// spendTime is the copying of one disk as the outside sees it: progress, and the places where a cancel is looked at.
func (j *relocation) spendTime(disk, disks int) types.BaseMethodFault {
	steps := 1
	if j.plan.Ms > 0 {
		steps = 10
	}
	for step := range steps {
		if j.cancelled() {
			return &types.RequestCanceled{}
		}
		if j.gone() && !j.plan.GoneOk {
			return &types.ManagedObjectNotFound{Obj: j.vm.Self}
		}
		time.Sleep(time.Duration(j.plan.Ms/steps/disks) * time.Millisecond)
		if !j.plan.NoProgress {
			j.w.set(j.task, change("info.progress", int32((disk*steps+step)*100/(steps*disks))))
		}
	}
	return nil
}

// reach does what the plan has for this moment.
func (j *relocation) reach(moment string) {
	if j.plan.Unregister == moment {
		_ = j.w.leaveInventory(j.vm)
	}
	if j.plan.Hold != moment {
		return
	}
	cancel := j.cancel
	if j.plan.Cancel == "ignore" {
		cancel = nil
	}
	select {
	case <-j.goOn:
	case <-cancel:
	}
}

func (j *relocation) cancelled() bool {
	select {
	case <-j.cancel:
		return j.plan.Cancel != "ignore"
	default:
		return false
	}
}

func (j *relocation) gone() bool { return j.w.model.Map().Get(j.vm.Self) == nil }

// cancellableTask answers CancelTask as documented: the request is taken, the end comes later. The stock one ends the task at once,
// and a second later it is a success.
type cancellableTask struct {
	*simulator.Task
	job *relocation
}

func (t *cancellableTask) CancelTask(ctx *simulator.Context, _ *types.CancelTask) soap.HasFault {
	body := &methods.CancelTaskBody{}
	switch {
	case t.Info.State == types.TaskInfoStateSuccess || t.Info.State == types.TaskInfoStateError:
		body.Fault_ = simulator.Fault("", &types.InvalidState{})
	case t.job.plan.Cancel == "refuse":
		body.Fault_ = simulator.Fault("", &types.NotSupported{})
	default:
		if !t.Info.Cancelled {
			close(t.job.cancel)
		}
		ctx.Update(t.Task, []types.PropertyChange{change("info.cancelled", true)})
		body.Res = &types.CancelTaskResponse{}
	}
	return body
}

// relocationChecker answers CheckRelocate_Task with the fault that was ordered for the VM.
type relocationChecker struct {
	*simulator.VmProvisioningChecker
	w *world
}

func (c *relocationChecker) CheckRelocateTask(ctx *simulator.Context, req *types.CheckRelocate_Task) soap.HasFault {
	vm, _ := ctx.Map.Get(req.Vm).(*simulator.VirtualMachine)
	if vm == nil {
		return &methods.CheckRelocate_TaskBody{Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: req.Vm})}
	}
	c.w.mu.Lock()
	ordered := c.w.checks[vm.Name]
	c.w.mu.Unlock()
	if ordered == "" {
		return c.VmProvisioningChecker.CheckRelocateTask(ctx, req)
	}
	task := simulator.CreateTask(c, "checkRelocate", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		found := types.LocalizedMethodFault{Fault: faultNamed(ordered, faultFacts{vm: vm.Self}), LocalizedMessage: ordered}
		result := types.CheckResult{Vm: &req.Vm, Error: []types.LocalizedMethodFault{found}}
		return &types.ArrayOfCheckResult{CheckResult: []types.CheckResult{result}}, nil
	})
	return &methods.CheckRelocate_TaskBody{Res: &types.CheckRelocate_TaskResponse{Returnval: task.Run(ctx)}}
}
