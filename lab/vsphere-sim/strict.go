package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// A vCenter reads a request as the sequences of its schema: order, names and types count. The simulator's decoder forgives all of it, so
// a client that passes here could fail on its first day. strictly holds a request against govmomi's own type tables, which have the
// schema's order, base class first.

const (
	vimNamespace  = "urn:vim25"
	typeNamespace = "http://www.w3.org/2001/XMLSchema-instance"
)

type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
}

func (e element) attribute(space, name string) string {
	for _, a := range e.Attrs {
		if a.Name.Space == space && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func strictly(body []byte) error {
	var envelope struct {
		Body element `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
	}
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&envelope); err != nil {
		return err
	}
	if n := len(envelope.Body.Children); n != 1 {
		return fmt.Errorf("the body holds %d elements", n)
	}
	method := envelope.Body.Children[0]
	if method.XMLName.Space != vimNamespace {
		return fmt.Errorf("%s: namespace %q", method.XMLName.Local, method.XMLName.Space)
	}
	kind, ok := types.TypeFunc()(method.XMLName.Local)
	if !ok {
		return fmt.Errorf("no method %s", method.XMLName.Local)
	}
	return follows(method, kind, method.XMLName.Local)
}

type member struct {
	name     string
	required bool
	kind     reflect.Type
}

// sequence lists what a type consists of in the order of the wire; an embedded struct is the base class.
func sequence(kind reflect.Type) []member {
	var members []member
	for i := range kind.NumField() {
		field := kind.Field(i)
		if field.Anonymous {
			members = append(members, sequence(field.Type)...)
			continue
		}
		name, rest, _ := strings.Cut(field.Tag.Get("xml"), ",")
		flags := strings.Split(rest, ",")
		if name == "" || name == "-" || slices.Contains(flags, "attr") {
			continue
		}
		optional := slices.Contains(flags, "omitempty") || field.Type.Kind() == reflect.Pointer || field.Type.Kind() == reflect.Slice
		members = append(members, member{name, !optional, single(field.Type)})
	}
	return members
}

// single is the type of one element: of what a pointer points to, of what a list holds.
func single(kind reflect.Type) reflect.Type {
	for kind.Kind() == reflect.Pointer || (kind.Kind() == reflect.Slice && kind.Elem().Kind() != reflect.Uint8) {
		kind = kind.Elem()
	}
	return kind
}

func follows(e element, kind reflect.Type, at string) error {
	members := sequence(kind)
	next, present := 0, map[string]bool{}
	for _, child := range e.Children {
		name := child.XMLName.Local
		here := at + "/" + name
		place := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		if place < 0 {
			return fmt.Errorf("%s: no element of %s", here, kind.Name())
		}
		if place < next {
			return fmt.Errorf("%s: out of order in %s", here, kind.Name())
		}
		next, present[name] = place, true
		if err := childFollows(child, members[place].kind, here); err != nil {
			return err
		}
	}
	for _, m := range members {
		if m.required && !present[m.name] {
			return fmt.Errorf("%s: %s of %s is missing", at, m.name, kind.Name())
		}
	}
	return nil
}

func childFollows(child element, kind reflect.Type, here string) error {
	if kind == reflect.TypeFor[moref]() {
		if child.attribute("", "type") == "" {
			return fmt.Errorf("%s: a reference without its type", here)
		}
		return nil
	}
	if kind.Kind() == reflect.Interface {
		said := child.attribute(typeNamespace, "type")
		if said == "" {
			return fmt.Errorf("%s: %s is a base class, and xsi:type is missing", here, strings.TrimPrefix(kind.Name(), "Base"))
		}
		if strings.HasPrefix(said, "xsd:") {
			return nil
		}
		concrete, ok := types.TypeFunc()(said[strings.Index(said, ":")+1:])
		if !ok {
			return fmt.Errorf("%s: no type %q", here, said)
		}
		kind = concrete
	}
	if kind.Kind() == reflect.Struct && kind.PkgPath() != "time" {
		return follows(child, kind, here)
	}
	return nil
}
