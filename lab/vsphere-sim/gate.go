package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is one request as it came over the wire: what shows that something was submitted once.
type call struct {
	N       int    `json:"n"`
	Method  string `json:"method"`
	This    string `json:"this"`
	Session bool   `json:"session"`
	Status  int    `json:"status"` // 0: it was not answered
	Action  string `json:"action,omitempty"`
	OpID    string `json:"operationId,omitempty"`
	Version string `json:"version,omitempty"`
	Wire    string `json:"wire,omitempty"` // what a vCenter would refuse in it
}

// rule bends how a call travels: so many are left alone, so many are bent.
type rule struct {
	Method string `json:"method"`
	Action string `json:"action"` // lose-reply | reset | status:503 | html | fault:NoPermission | delay:250 | expire
	Skip   int    `json:"skip"`
	Times  int    `json:"times"` // 0 stands for 1
}

// gate stands before the simulator: it keeps the journal, bends what is to be bent and refuses XML that a vCenter refuses.
type gate struct {
	mu     sync.Mutex
	lax    bool
	calls  []*call
	rules  []rule
	downTo time.Time
	expire func() int
}

func (g *gate) add(r rule) error {
	name, argument, _ := strings.Cut(r.Action, ":")
	switch name {
	case "lose-reply", "reset", "html", "expire":
	case "status", "delay":
		if _, err := strconv.Atoi(argument); err != nil {
			return fmt.Errorf("%s takes a number, not %q", name, argument)
		}
	case "fault":
		if err := knownFault(argument); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no action %q", r.Action)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = append(g.rules, r)
	return nil
}

func (g *gate) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules, g.calls, g.downTo = nil, nil, time.Time{}
}

func (g *gate) downFor(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.downTo = time.Now().Add(d)
}

func (g *gate) journal(method string) []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := []call{}
	for _, c := range g.calls {
		if method == "" || c.Method == method {
			seen = append(seen, *c)
		}
	}
	return seen
}

var (
	methodElement = regexp.MustCompile(`<(?:[\w.-]+:)?Body[^>]*>\s*<(?:[\w.-]+:)?(\w+)`)
	thisElement   = regexp.MustCompile(`<(?:[\w.-]+:)?_this[^>]*>([^<]*)<`)
	opElement     = regexp.MustCompile(`<(?:[\w.-]+:)?operationID[^>]*>([^<]*)<`)
)

func first(pattern *regexp.Regexp, body []byte) string {
	if found := pattern.FindSubmatch(body); found != nil {
		return string(found[1])
	}
	return ""
}

// enter writes the call down and decides what becomes of it.
func (g *gate) enter(r *http.Request, body []byte) *call {
	_, noCookie := r.Cookie("vmware_soap_session")
	c := &call{
		Method: first(methodElement, body), This: first(thisElement, body), OpID: first(opElement, body),
		Session: noCookie == nil, Version: strings.Trim(r.Header.Get("SOAPAction"), `"`),
	}
	if !g.lax {
		if err := strictly(body); err != nil {
			c.Wire = err.Error()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c.N = len(g.calls) + 1
	c.Action = g.bend(c.Method)
	if time.Now().Before(g.downTo) {
		c.Action = "status:503"
	}
	g.calls = append(g.calls, c)
	return c
}

func (g *gate) bend(method string) string {
	for i := range g.rules {
		r := &g.rules[i]
		if r.Method != "" && r.Method != method {
			continue
		}
		if r.Skip > 0 {
			r.Skip--
			continue
		}
		r.Times--
		action := r.Action
		if r.Times <= 0 {
			g.rules = append(g.rules[:i], g.rules[i+1:]...)
		}
		return action
	}
	return ""
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/sdk") {
			next.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c := g.enter(r, body)
		status := g.serve(c, next, rw, r)
		g.mu.Lock()
		c.Status = status
		g.mu.Unlock()
	})
}

// serve answers the call, or does not. It returns the status that the caller was sent.
func (g *gate) serve(c *call, next http.Handler, rw http.ResponseWriter, r *http.Request) int {
	if c.Wire != "" {
		return sendFault(rw, "InvalidRequest", c.Wire)
	}
	name, argument, _ := strings.Cut(c.Action, ":")
	number, _ := strconv.Atoi(argument)
	switch name {
	case "reset":
		hangUp(rw)
		return 0
	case "lose-reply":
		next.ServeHTTP(newHeldReply(), r)
		hangUp(rw)
		return 0
	case "status":
		http.Error(rw, "no healthy upstream", number)
		return number
	case "html":
		rw.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(rw, "<html><body>The service is starting</body></html>")
		return http.StatusOK
	case "fault":
		text := "refused by rule"
		if argument == "NotAuthenticated" {
			text = notAuthenticated
		}
		return sendFault(rw, argument, text)
	case "delay":
		select {
		case <-time.After(time.Duration(number) * time.Millisecond):
		case <-r.Context().Done():
		}
	case "expire":
		g.expire()
	}
	reply := newHeldReply()
	next.ServeHTTP(reply, r)
	reply.send(rw)
	return reply.status
}

// heldReply is an answer that has been made and not sent.
type heldReply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newHeldReply() *heldReply                   { return &heldReply{header: http.Header{}, status: http.StatusOK} }
func (h *heldReply) Header() http.Header         { return h.header }
func (h *heldReply) Write(b []byte) (int, error) { return h.body.Write(b) }
func (h *heldReply) WriteHeader(status int)      { h.status = status }

func (h *heldReply) send(rw http.ResponseWriter) {
	for name, values := range h.header {
		rw.Header()[name] = values
	}
	body := h.body.Bytes()
	if bytes.Contains(body, []byte("NotAuthenticatedFault")) {
		// The simulator leaves the text empty.
		body = bytes.Replace(body, []byte("<faultstring></faultstring>"), []byte("<faultstring>"+notAuthenticated+"</faultstring>"), 1)
	}
	rw.WriteHeader(h.status)
	_, _ = rw.Write(body)
}

// notAuthenticated is what an English vCenter says. There are clients that decide by it.
const notAuthenticated = "The session is not authenticated."

func sendFault(rw http.ResponseWriter, kind, text string) int {
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text))
	rw.Header().Set("Content-Type", "text/xml; charset=utf-8")
	rw.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprintf(rw, `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><s:Body><s:Fault><faultcode>ServerFaultCode</faultcode>`+
		`<faultstring>%[2]s</faultstring><detail><%[1]sFault xmlns="urn:vim25" i:type="%[1]s"></%[1]sFault></detail>`+
		`</s:Fault></s:Body></s:Envelope>`, kind, escaped.String())
	return http.StatusInternalServerError
}

func hangUp(rw http.ResponseWriter) {
	if hijacker, ok := rw.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			_ = conn.Close()
		}
	}
}
