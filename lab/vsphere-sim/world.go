package main

import (
	"fmt"
	"path"
	"sort"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

type moref = types.ManagedObjectReference

// world is everything that the control port can reach, and what the simulator does not know of itself.
type world struct {
	model *simulator.Model
	gate  *gate

	diskBytes int64

	mu   sync.Mutex
	seq  int
	jobs map[moref]*relocation // by task
	busy map[moref]*relocation // by VM

	plans   map[string]plan // by VM name; "*" is everyone's
	checks  map[string]string
	pinned  map[string]int64                     // free space of a datastore, by name
	absent  map[string]*simulator.VirtualMachine // out of the inventory, by path of the vmx
	asking  map[moref]*question                  // VMs that wait for an answer at power-on
	changed map[moref]bool                       // VMs that were registered elsewhere since they last ran
	hidden  map[moref]bool                       // VMs that the user has no right to read
	guests  map[string]string                    // vmx path -> host on which a process of the VM exists
	copied  map[moref]bool                       // VMs that were told that they are a copy
	refuse  map[string]string                    // method -> fault
	lacking map[string]bool                      // privileges that the user does not have
}

func newWorld(model *simulator.Model) *world {
	w := &world{
		model:   model,
		jobs:    map[moref]*relocation{},
		busy:    map[moref]*relocation{},
		plans:   map[string]plan{},
		checks:  map[string]string{},
		pinned:  map[string]int64{},
		absent:  map[string]*simulator.VirtualMachine{},
		asking:  map[moref]*question{},
		changed: map[moref]bool{},
		hidden:  map[moref]bool{},
		guests:  map[string]string{},
		copied:  map[moref]bool{},
		refuse:  map[string]string{},
		lacking: map[string]bool{},
	}
	w.gate = &gate{expire: w.expireSessions}
	return w
}

// turn is a context of one's own: the simulator tells holders of a lock apart by their context.
func (w *world) turn() *simulator.Context {
	own := *w.model.Service.Context
	return &own
}

func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) number() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	return w.seq
}

// route puts our own objects in place of stock ones for the calls that they answer differently.
//
// The simulator looks the target up again in the caller's session afterwards, and prefers what it finds there; so `This` is made to
// name nothing.
func (w *world) route(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil {
		return nil, nil
	}
	if fault := w.refusal(m); fault != nil {
		return nil, fault
	}
	own := w.own(ctx, m)
	if own == nil {
		return nil, nil
	}
	m.This = moref{Type: "vsphere-sim", Value: "own"}
	return own, nil
}

// own is the object of ours that answers this call; nil where the stock one does.
func (w *world) own(ctx *simulator.Context, m *simulator.Method) mo.Reference {
	switch target := w.targetOf(ctx, m).(type) {
	case *simulator.VirtualMachine:
		switch m.Name {
		case "RelocateVM_Task":
			return &relocatableVM{target, w}
		case "PowerOnVM_Task", "PowerOffVM_Task", "AnswerVM", "UnregisterVM":
			return &poweredVM{target, w}
		}
	case *simulator.Task:
		if job := w.jobOf(m.This); job != nil && m.Name == "CancelTask" {
			return &cancellableTask{job.task, job}
		}
	case *simulator.VmProvisioningChecker:
		if m.Name == "CheckRelocate_Task" {
			return &relocationChecker{target, w}
		}
	case *simulator.Datastore:
		if m.Name == "RefreshDatastore" {
			return &pinnedDatastore{target, w}
		}
	case *simulator.Folder:
		if m.Name == "RegisterVM_Task" {
			return &registeringFolder{target, w}
		}
	case *simulator.SearchIndex:
		if m.Name == "FindByUuid" {
			return &guardedIndex{target, w}
		}
	case *simulator.AuthorizationManager:
		if m.Name == "HasPrivilegeOnEntities" {
			return &authorizer{target, w}
		}
	case *simulator.PropertyCollector:
		if m.Name == "RetrievePropertiesEx" {
			return &guardedCollector{target, w}
		}
	}
	if search, ok := m.Body.(*types.SearchDatastore_Task); ok && search.SearchSpec == nil {
		// Without one the stock method ends the process.
		search.SearchSpec = &types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{"*"}}
	}
	return nil
}

func (w *world) targetOf(ctx *simulator.Context, m *simulator.Method) mo.Reference {
	if perSession := ctx.Session.Get(m.This); perSession != nil {
		return perSession
	}
	return ctx.Map.Get(m.This)
}

func (w *world) refusal(m *simulator.Method) types.BaseMethodFault {
	w.mu.Lock()
	name := w.refuse[m.Name]
	w.mu.Unlock()
	if name == "" {
		return nil
	}
	fault := faultNamed(name, faultFacts{vm: m.This})
	if denied, ok := fault.(*types.NoPermission); ok {
		denied.Object, denied.PrivilegeId = &m.This, "privilege of "+m.Name
	}
	return fault
}

// home is the folder that holds every datastore.
func (w *world) home() string {
	for _, option := range w.model.Map().OptionManager().Setting {
		if v := option.GetOptionValue(); v.Key == "vcsim.home" {
			return v.Value.(string)
		}
	}
	return ""
}

func all[T mo.Entity](w *world, kind string) []T {
	var found []T
	for _, e := range w.model.Map().All(kind) {
		if typed, ok := e.(T); ok {
			found = append(found, typed)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Entity().Name < found[j].Entity().Name })
	return found
}

func named[T mo.Entity](w *world, kind, name string) (T, error) {
	for _, e := range all[T](w, kind) {
		if e.Entity().Name == name || e.Reference().Value == name {
			return e, nil
		}
	}
	var none T
	return none, fmt.Errorf("no %s %q", kind, name)
}

func (w *world) vms() []*simulator.VirtualMachine {
	return all[*simulator.VirtualMachine](w, "VirtualMachine")
}

func (w *world) vm(name string) (*simulator.VirtualMachine, error) {
	return named[*simulator.VirtualMachine](w, "VirtualMachine", name)
}

func (w *world) hostOf(vm *simulator.VirtualMachine) *simulator.HostSystem {
	if vm.Runtime.Host == nil {
		return nil
	}
	host, _ := w.model.Map().Get(*vm.Runtime.Host).(*simulator.HostSystem)
	return host
}

// mounted is the datastore of that name on the VM's own host: names repeat from one datacenter to the next.
func (w *world) mounted(vm *simulator.VirtualMachine, name string) *simulator.Datastore {
	host := w.hostOf(vm)
	if host == nil {
		return nil
	}
	for _, ref := range host.Datastore {
		if ds, ok := w.model.Map().Get(ref).(*simulator.Datastore); ok && ds.Name == name {
			return ds
		}
	}
	return nil
}

// fileOf is where a datastore path of the VM lies on this machine.
func (w *world) fileOf(vm *simulator.VirtualMachine, p object.DatastorePath) string {
	ds := w.mounted(vm, p.Datastore)
	if ds == nil {
		return path.Join(w.home(), "nowhere", p.Path)
	}
	return path.Join(ds.Summary.Url, p.Path)
}

func change(name string, value any) types.PropertyChange {
	return types.PropertyChange{Name: name, Val: value}
}

// set changes properties so that those who wait for updates see it.
func (w *world) set(target mo.Reference, changes ...types.PropertyChange) {
	ctx := w.turn()
	ctx.Map.AtomicUpdate(ctx, target, changes)
}

func (w *world) hosts() []*simulator.HostSystem {
	return all[*simulator.HostSystem](w, "HostSystem")
}

func (w *world) stores() []*simulator.Datastore {
	return all[*simulator.Datastore](w, "Datastore")
}

func (w *world) host(name string) (*simulator.HostSystem, error) {
	return named[*simulator.HostSystem](w, "HostSystem", name)
}

func (w *world) store(name string) (*simulator.Datastore, error) {
	return named[*simulator.Datastore](w, "Datastore", name)
}

func vmLink(state string) types.VirtualMachineConnectionState {
	return types.VirtualMachineConnectionState(state)
}
