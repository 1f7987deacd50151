package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"
)

// plan says how the relocations of a VM go. The zero value is an honest move.
type plan struct {
	Preset      string `json:"preset,omitempty"`
	SubmitFault string `json:"submitFault,omitempty"` // the call itself is refused; no task is made
	Stock       bool   `json:"stock,omitempty"`       // the simulator's own method, which moves nothing and says success
	Move        *int   `json:"move,omitempty"`        // so many disks really move; absent: all
	CopyOnly    int    `json:"copyOnly,omitempty"`    // so many more are copied and go on being used where they were
	KeepSource  bool   `json:"keepSource,omitempty"`  // the old files of moved disks stay
	Ghost       bool   `json:"ghost,omitempty"`       // the inventory is changed, no file is
	Corrupt     string `json:"corrupt,omitempty"`     // short: copies lack their second half | bytes: same length, other content
	Ms          int    `json:"ms,omitempty"`          // how long the copying takes
	Hold        string `json:"hold,omitempty"`        // before | between | after: stands still there until /release or a cancel
	Cancel      string `json:"cancel,omitempty"`      // ignore: taken, and finished all the same | refuse: not cancelable
	Fault       string `json:"fault,omitempty"`       // the task ends in this; absent: success
	GoneOk      bool   `json:"goneOk,omitempty"`      // success even if the VM left the inventory meanwhile
	Unregister  string `json:"unregister,omitempty"`  // before | between | after: the VM leaves the inventory there
	Orphan      bool   `json:"orphan,omitempty"`      // afterwards the VM is known to vCenter and to no host
	NoProgress  bool   `json:"noProgress,omitempty"`
	Times       int    `json:"times,omitempty"` // 0: until changed
}

func count(n int) *int { return &n }

var presets = map[string]plan{
	"move":                {},
	"stock":               {Stock: true},
	"lie":                 {Move: count(0)},
	"ghost":               {Ghost: true, KeepSource: true},
	"partial":             {Move: count(1)},
	"partial-error":       {Move: count(1), Fault: "GenericVmConfigFault"},
	"fail":                {Move: count(0), Fault: "InvalidDatastore"},
	"fail-after-copy":     {Move: count(0), CopyOnly: 99, Fault: "CannotAccessFile"},
	"no-space":            {Move: count(0), CopyOnly: 1, Fault: "NoDiskSpace"},
	"moved-but-error":     {Fault: "Timedout"},
	"keep-source":         {KeepSource: true},
	"corrupt":             {Corrupt: "short"},
	"corrupt-content":     {Corrupt: "bytes"},
	"hang":                {Hold: "before"},
	"slow":                {Ms: 1500},
	"late-after-cancel":   {Cancel: "ignore", Hold: "before"},
	"refuse-cancel":       {Cancel: "refuse", Hold: "before"},
	"unregistered-before": {Unregister: "before"},
	"unregistered-during": {Unregister: "between"},
	"unregistered-after":  {Unregister: "after", GoneOk: true},
	"gone-yet-success":    {Unregister: "before", GoneOk: true},
	"orphaned":            {Orphan: true},
}

// checked is the plan as it will be followed. What is misspelt is refused: taken for an honest move it would make a test pass that
// tests nothing.
func (p plan) checked() (plan, error) {
	base := plan{}
	if p.Preset != "" {
		known, ok := presets[p.Preset]
		if !ok {
			return p, fmt.Errorf("no preset %q", p.Preset)
		}
		base = known
	}
	// What stands beside a preset refines it.
	beside, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(beside, &base); err != nil {
		return p, err
	}
	oneOf := func(what, value string, allowed ...string) error {
		for _, a := range append(allowed, "") {
			if value == a {
				return nil
			}
		}
		return fmt.Errorf("%s is one of %v, not %q", what, allowed, value)
	}
	for _, err := range []error{
		oneOf("hold", base.Hold, "before", "between", "after"),
		oneOf("unregister", base.Unregister, "before", "between", "after"),
		oneOf("cancel", base.Cancel, "ignore", "refuse"),
		oneOf("corrupt", base.Corrupt, "short", "bytes"),
		knownFault(base.Fault),
		knownFault(base.SubmitFault),
	} {
		if err != nil {
			return p, err
		}
	}
	return base, nil
}

func knownFault(name string) error {
	if name == "" {
		return nil
	}
	kind, ok := types.TypeFunc()(name)
	if !ok {
		return fmt.Errorf("no fault %q", name)
	}
	if _, ok := reflect.New(kind).Interface().(types.BaseMethodFault); !ok {
		return fmt.Errorf("%q is no fault", name)
	}
	return nil
}

type faultFacts struct {
	vm        moref
	file      string
	datastore string
}

// faultNamed makes a vim25 fault by its type's name, with the fields filled that servers fill. The name has been checked.
func faultNamed(name string, facts faultFacts) types.BaseMethodFault {
	kind, ok := types.TypeFunc()(name)
	if !ok {
		return &types.SystemErrorFault{Reason: "no fault " + name}
	}
	fault := reflect.New(kind).Interface().(types.BaseMethodFault)
	switch f := fault.(type) {
	case *types.ManagedObjectNotFound:
		f.Obj = facts.vm
	case *types.NoDiskSpace:
		f.File, f.Datastore = facts.file, facts.datastore
	case *types.InvalidDatastore:
		f.Name = facts.datastore
	case types.BaseFileFault:
		f.GetFileFault().File = facts.file
	}
	return fault
}

// takePlan is the VM's own plan or everyone's, used up as often as it says.
func (w *world) takePlan(vm string) plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range []string{vm, "*"} {
		p, ok := w.plans[key]
		if !ok {
			continue
		}
		if p.Times == 1 {
			delete(w.plans, key)
		} else if p.Times > 1 {
			p.Times--
			w.plans[key] = p
		}
		return p
	}
	return plan{}
}
