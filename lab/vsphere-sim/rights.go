package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// A VM that the user may not read looks, from FindByUuid, like one that does not exist.

func (w *world) isHidden(ref moref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hidden[ref]
}

type guardedIndex struct {
	*simulator.SearchIndex
	w *world
}

func (s *guardedIndex) FindByUuid(ctx *simulator.Context, req *types.FindByUuid) soap.HasFault {
	answer := s.SearchIndex.FindByUuid(ctx, req)
	if body, ok := answer.(*methods.FindByUuidBody); ok && body.Res != nil && body.Res.Returnval != nil && s.w.isHidden(*body.Res.Returnval) {
		body.Res.Returnval = nil
	}
	return answer
}

type guardedCollector struct {
	*simulator.PropertyCollector
	w *world
}

// RetrievePropertiesEx gives no property of a hidden VM away: each is missing, with the reason.
func (c *guardedCollector) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	answer := c.PropertyCollector.RetrievePropertiesEx(ctx, req)
	body, ok := answer.(*methods.RetrievePropertiesExBody)
	if !ok || body.Res == nil || body.Res.Returnval == nil {
		return answer
	}
	objects := body.Res.Returnval.Objects
	for i := range objects {
		if !c.w.isHidden(objects[i].Obj) {
			continue
		}
		ref := objects[i].Obj
		denied := types.LocalizedMethodFault{Fault: &types.NoPermission{Object: &ref, PrivilegeId: "System.Read"}}
		for _, property := range objects[i].PropSet {
			objects[i].MissingSet = append(objects[i].MissingSet, types.MissingProperty{Path: property.Name, Fault: denied})
		}
		objects[i].PropSet = nil
	}
	return answer
}

// authorizer tells of each privilege whether the user has it. It tells so only: what is refused is ordered by /deny.
type authorizer struct {
	*simulator.AuthorizationManager
	w *world
}

func (a *authorizer) HasPrivilegeOnEntities(req *types.HasPrivilegeOnEntities) soap.HasFault {
	answer := a.AuthorizationManager.HasPrivilegeOnEntities(req)
	body, ok := answer.(*methods.HasPrivilegeOnEntitiesBody)
	if !ok || body.Res == nil {
		return answer
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	for _, entity := range body.Res.Returnval {
		for i := range entity.PrivAvailability {
			p := &entity.PrivAvailability[i]
			p.IsGranted = !a.w.lacking[p.PrivId]
		}
	}
	return answer
}
