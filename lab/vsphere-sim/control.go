package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// command is the body of every order. What an order does not know is refused, and so is what it does not use.
type command struct {
	plan
	VM         string  `json:"vm,omitempty"`
	Disks      int     `json:"disks,omitempty"`
	Autostart  *bool   `json:"autostart,omitempty"`
	HA         *bool   `json:"ha,omitempty"`
	Name       string  `json:"name,omitempty"`
	Vmx        string  `json:"vmx,omitempty"`
	Task       string  `json:"task,omitempty"`
	State      string  `json:"state,omitempty"`
	Power      string  `json:"power,omitempty"`
	InMM       *bool   `json:"inMaintenanceMode,omitempty"`
	CheckFault *string `json:"checkFault,omitempty"`
	Hidden     *bool   `json:"hidden,omitempty"`
	Free       *int64  `json:"freeSpace,omitempty"`
	Accessible *bool   `json:"accessible,omitempty"`
	Mode       string  `json:"maintenanceMode,omitempty"`
	DownMs     int     `json:"downMs,omitempty"`
	Method     string  `json:"method,omitempty"`
	Choice     string  `json:"choice,omitempty"`
	Rule       *rule   `json:"rule,omitempty"`
}

type order func(*command) (any, error)

// controlPort is POST of a JSON body per order, GET /state and GET /calls.
func (w *world) controlPort() http.Handler {
	mux := http.NewServeMux()
	for name, run := range w.orders() {
		mux.HandleFunc("POST /"+name, func(rw http.ResponseWriter, r *http.Request) {
			asked := &command{}
			decoder := json.NewDecoder(r.Body)
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(asked); err != nil {
				http.Error(rw, err.Error(), http.StatusBadRequest)
				return
			}
			result, err := run(asked)
			if err != nil {
				http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
				return
			}
			answer(rw, map[string]any{"result": result})
		})
	}
	mux.HandleFunc("GET /state", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, w.state()) })
	mux.HandleFunc("GET /calls", func(rw http.ResponseWriter, r *http.Request) {
		answer(rw, w.gate.journal(r.URL.Query().Get("method")))
	})
	return mux
}

func answer(rw http.ResponseWriter, value any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(value)
}

func (w *world) orders() map[string]order {
	return map[string]order{
		"plan":            w.orderPlan,
		"go-on":           w.orderGoOn,
		"settle":          w.orderSettle,
		"unregister":      w.orderUnregister,
		"register":        w.orderRegister,
		"vm":              w.orderVM,
		"answer":          w.orderAnswer,
		"host":            w.orderHost,
		"datastore":       w.orderDatastore,
		"cluster":         w.orderCluster,
		"deny":            w.orderDeny,
		"forget-tasks":    w.orderForgetTasks,
		"expire-sessions": func(*command) (any, error) { return w.expireSessions(), nil },
		"restart":         w.orderRestart,
		"rule":            w.orderRule,
		"clear":           w.orderClear,
	}
}

func (w *world) orderPlan(c *command) (any, error) {
	p, err := c.plan.checked()
	if err != nil {
		return nil, err
	}
	vm := c.VM
	if vm == "" {
		vm = "*"
	} else if _, err := w.vm(vm); err != nil {
		return nil, err
	}
	w.locked(func() { w.plans[vm] = p })
	return p, nil
}

func (w *world) orderGoOn(c *command) (any, error) {
	job := w.jobUnderWay(c.VM)
	if job == nil {
		return nil, fmt.Errorf("no relocation of %q is under way", c.VM)
	}
	job.goOn <- struct{}{}
	return job.task.Self.Value, nil
}

// orderSettle returns when the VM's relocation has ended.
func (w *world) orderSettle(c *command) (any, error) {
	if job := w.jobUnderWay(c.VM); job != nil {
		<-job.ended
	}
	return nil, nil
}

func (w *world) orderUnregister(c *command) (any, error) {
	vm, err := w.vm(c.VM)
	if err != nil {
		return nil, err
	}
	return vmxOf(vm), w.leaveInventory(vm)
}

func (w *world) orderRegister(c *command) (any, error) {
	var host *moref
	if c.Name != "" {
		found, err := w.host(c.Name)
		if err != nil {
			return nil, err
		}
		host = &found.Self
	}
	ref, err := w.enterInventory(c.Vmx, host)
	return ref.Value, err
}

func (w *world) orderVM(c *command) (any, error) {
	vm, err := w.vm(c.VM)
	if err != nil {
		return nil, err
	}
	if c.State != "" {
		w.set(vm, connection(vmLink(c.State))...)
	}
	// It writes every extent anew: an order about something else must not heal a copy that lost bytes.
	if c.Disks > 0 {
		if err := w.giveDisks(vm, c.Disks); err != nil {
			return nil, err
		}
	}
	if c.Name != "" {
		host, err := w.host(c.Name)
		if err != nil {
			return nil, err
		}
		w.place(vm, host)
	}
	if c.Autostart != nil {
		w.setAutostart(vm, *c.Autostart)
	}
	switch c.Power {
	case "":
	case "off":
		w.destroyGuest(vm)
	case "on":
		w.locked(func() { w.guests[vmxOf(vm)] = w.hostOf(vm).Name })
		w.set(vm, power("poweredOn")...)
	case "suspended":
		w.locked(func() { delete(w.guests, vmxOf(vm)) })
		w.set(vm, power("suspended")...)
	default:
		return nil, fmt.Errorf("power is on, off or suspended, not %q", c.Power)
	}
	w.locked(func() {
		if c.CheckFault != nil {
			w.checks[vm.Name] = *c.CheckFault
		}
		if c.Hidden != nil {
			w.hidden[vm.Self] = *c.Hidden
		}
	})
	return vm.Self.Value, nil
}

// orderAnswer answers the VM's question as a person would. It says whether there was one.
func (w *world) orderAnswer(c *command) (any, error) {
	vm, err := w.vm(c.VM)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	q := w.asking[vm.Self]
	w.mu.Unlock()
	if q == nil {
		return false, nil
	}
	select {
	case q.answer <- c.Choice:
		return true, nil
	default:
		return false, nil
	}
}

func (w *world) orderHost(c *command) (any, error) {
	host, err := w.host(c.Name)
	if err != nil {
		return nil, err
	}
	switch c.Power {
	case "cut":
		w.cutPower(host)
	case "on":
		w.switchOn(host)
	case "":
	default:
		return nil, fmt.Errorf("a host's power is cut or switched on, not %q", c.Power)
	}
	w.setHost(host, c.State, "", c.InMM)
	return host.Self.Value, nil
}

func (w *world) orderDatastore(c *command) (any, error) {
	ds, err := w.store(c.Name)
	if err != nil {
		return nil, err
	}
	if c.Free != nil {
		w.locked(func() { w.pinned[ds.Name] = *c.Free })
		w.set(ds, change("summary.freeSpace", *c.Free))
	}
	if c.Accessible != nil {
		w.set(ds, change("summary.accessible", *c.Accessible))
	}
	if c.Mode != "" {
		w.set(ds, change("summary.maintenanceMode", c.Mode))
	}
	return ds.Self.Value, nil
}

func (w *world) orderCluster(c *command) (any, error) {
	if c.HA == nil {
		return nil, fmt.Errorf("ha: true or false")
	}
	return nil, w.setHA(c.Name, *c.HA)
}

// orderDeny lets a method be refused with a fault, for whoever calls it, or says of a privilege that the user lacks it.
func (w *world) orderDeny(c *command) (any, error) {
	if err := knownFault(c.Fault); err != nil {
		return nil, err
	}
	w.locked(func() {
		if c.Method != "" {
			w.refuse[c.Method] = c.Fault
		}
		if c.Name != "" {
			w.lacking[c.Name] = true
		}
	})
	return nil, nil
}

func (w *world) orderForgetTasks(c *command) (any, error) {
	return w.forgetTasks(func(ref moref) bool { return c.Task == "" || ref.Value == c.Task }), nil
}

// orderRestart is vCenter's own: sessions and tasks are gone; the hosts, and what they are copying, go on.
func (w *world) orderRestart(c *command) (any, error) {
	w.gate.downFor(time.Duration(c.DownMs) * time.Millisecond)
	sessions := w.expireSessions()
	return map[string]int{"sessions": sessions, "tasks": w.forgetTasks(func(moref) bool { return true })}, nil
}

func (w *world) orderRule(c *command) (any, error) {
	if c.Rule == nil {
		return nil, fmt.Errorf("which rule?")
	}
	return nil, w.gate.add(*c.Rule)
}

func (w *world) orderClear(*command) (any, error) {
	w.gate.clear()
	w.locked(func() {
		clear(w.plans)
		clear(w.checks)
		clear(w.hidden)
		clear(w.refuse)
		clear(w.lacking)
	})
	return nil, nil
}
