package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// place registers the VM on another host without asking anyone, as a migration does at its end.
func (w *world) place(vm *simulator.VirtualMachine, host *simulator.HostSystem) {
	ctx := w.turn()
	if was := w.hostOf(vm); was != nil {
		ctx.Map.RemoveReference(ctx, was, &was.Vm, vm.Self)
	}
	ctx.Map.AddReference(ctx, host, &host.Vm, vm.Self)
	ref := host.Self
	w.set(vm, change("runtime.host", &ref), change("summary.runtime.host", &ref))
}

// autoStartManager is a host's list of VMs that it starts at boot. The simulator has none.
type autoStartManager struct {
	mo.HostAutoStartManager
}

func (m *autoStartManager) ReconfigureAutostart(ctx *simulator.Context, req *types.ReconfigureAutostart) soap.HasFault {
	entries := append([]types.AutoStartPowerInfo(nil), m.Config.PowerInfo...)
	for _, change := range req.Spec.PowerInfo {
		kept := entries[:0]
		for _, entry := range entries {
			if entry.Key != change.Key {
				kept = append(kept, entry)
			}
		}
		entries = append(kept, change)
	}
	config := m.Config
	config.PowerInfo = entries
	ctx.Update(m, []types.PropertyChange{change("config", config)})
	return &methods.ReconfigureAutostartBody{Res: &types.ReconfigureAutostartResponse{}}
}

func (w *world) addAutoStartManagers() {
	for _, host := range w.hosts() {
		manager := &autoStartManager{}
		manager.Self = moref{Type: "HostAutoStartManager", Value: "autostart-" + host.Self.Value}
		w.model.Map().Put(manager)
		host.ConfigManager.AutoStartManager = &manager.Self
		now := time.Now()
		host.Runtime.BootTime = &now
	}
}

func (w *world) setAutostart(vm *simulator.VirtualMachine, on bool) {
	manager, ok := w.model.Map().Get(*w.hostOf(vm).ConfigManager.AutoStartManager).(*autoStartManager)
	if !ok {
		return
	}
	action := "none"
	if on {
		action = "powerOn"
	}
	ctx := w.turn()
	ctx.WithLock(manager, func() {
		manager.ReconfigureAutostart(ctx, &types.ReconfigureAutostart{Spec: types.HostAutoStartManagerConfig{
			PowerInfo: []types.AutoStartPowerInfo{{Key: vm.Self, StartOrder: 1, StartDelay: -1, StopDelay: -1,
				WaitForHeartbeat: types.AutoStartWaitHeartbeatSettingSystemDefault, StartAction: action, StopAction: "systemDefault"}},
		}})
	})
}

// switchOn boots a host: it answers, and nothing runs on it.
func (w *world) switchOn(host *simulator.HostSystem) {
	now := time.Now()
	w.set(host, change("runtime.bootTime", &now))
	w.setHost(host, "connected", "", nil)
	for _, vm := range w.vms() {
		if *vm.Runtime.Host == host.Self {
			w.set(vm, power(types.VirtualMachinePowerStatePoweredOff)...)
		}
	}
}

// setHA says of a cluster whether vSphere HA restarts its VMs. It says so only: nothing here restarts any.
func (w *world) setHA(name string, on bool) error {
	cluster, err := named[*simulator.ClusterComputeResource](w, "ClusterComputeResource", name)
	if err != nil {
		return err
	}
	config := *cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
	config.DasConfig.Enabled = types.NewBool(on)
	w.set(cluster, change("configurationEx", &config))
	return nil
}
