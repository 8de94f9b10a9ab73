// A plugin for tests, on the stub that real plugins are built with: it writes a line for each event and
// does what a file of rules says, which is read anew each time.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// Rule applies to an event, and where it names them, to a pod and a container.
type Rule struct {
	Event, Pod, Container string
	Error                 string
	Hang                  string // until that file exists
	Adjust                *api.ContainerAdjustment
	Updates               []*api.ContainerUpdate
	Reject                string
}

type plugin struct {
	rules, log string
	mu         sync.Mutex
}

func (p *plugin) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintf(f, format+"\n", args...)
}

func (p *plugin) rule(event string, pod *api.PodSandbox, c *api.Container) (*Rule, error) {
	p.line("%s %s %s", event, pod.GetName(), c.GetName())
	text, err := os.ReadFile(p.rules)
	if err != nil {
		return &Rule{}, nil
	}
	var rules []Rule
	if err := json.Unmarshal(text, &rules); err != nil {
		p.line("bad rules: %v", err)
		return nil, err
	}
	for _, r := range rules {
		if r.Event != event || (r.Pod != "" && r.Pod != pod.GetName()) ||
			(r.Container != "" && r.Container != c.GetName()) {
			continue
		}
		for r.Hang != "" {
			if _, err := os.Stat(r.Hang); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if r.Error != "" {
			return &r, errors.New(r.Error)
		}
		return &r, nil
	}
	return &Rule{}, nil
}

func (p *plugin) Configure(_ context.Context, config, runtime, version string) (stub.EventMask, error) {
	p.line("Configure %s %s %s", config, runtime, version)
	if config != "" {
		var c struct{ Rules, Log string }
		if err := json.Unmarshal([]byte(config), &c); err != nil {
			return 0, err
		}
		p.rules, p.log = c.Rules, c.Log
		p.line("Configure %s", runtime)
	}
	return 0, nil
}

func (p *plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, cs []*api.Container) ([]*api.ContainerUpdate, error) {
	for _, pod := range pods {
		p.line("Synchronize pod %s", pod.GetName())
	}
	for _, c := range cs {
		p.line("Synchronize container %s %s", c.GetName(), c.GetState())
	}
	r, err := p.rule("Synchronize", nil, nil)
	return r.Updates, err
}

func (p *plugin) pod(event string, pod *api.PodSandbox) error {
	_, err := p.rule(event, pod, nil)
	return err
}

func (p *plugin) RunPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	p.line("pod %s %s %s ips=%d pid=%v", pod.GetName(), pod.GetNamespace(), pod.GetUid(), len(pod.GetIps()), pod.GetPid() > 0)
	return p.pod("RunPodSandbox", pod)
}
func (p *plugin) UpdatePodSandbox(_ context.Context, pod *api.PodSandbox, _, res *api.LinuxResources) error {
	p.line("pod resources shares=%d", res.GetCpu().GetShares().GetValue())
	return p.pod("UpdatePodSandbox", pod)
}
func (p *plugin) PostUpdatePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.pod("PostUpdatePodSandbox", pod)
}
func (p *plugin) StopPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.pod("StopPodSandbox", pod)
}
func (p *plugin) RemovePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.pod("RemovePodSandbox", pod)
}

func (p *plugin) CreateContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	text, _ := json.Marshal(c)
	os.WriteFile(p.log+".container", text, 0o600)
	r, err := p.rule("CreateContainer", pod, c)
	if err != nil {
		return nil, nil, err
	}
	return r.Adjust, r.Updates, nil
}

func (p *plugin) container(event string, pod *api.PodSandbox, c *api.Container) error {
	_, err := p.rule(event, pod, c)
	return err
}

func (p *plugin) PostCreateContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) error {
	return p.container("PostCreateContainer", pod, c)
}
func (p *plugin) StartContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) error {
	return p.container("StartContainer", pod, c)
}
func (p *plugin) PostStartContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) error {
	return p.container("PostStartContainer", pod, c)
}
func (p *plugin) UpdateContainer(_ context.Context, pod *api.PodSandbox, c *api.Container, res *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	p.line("resources memory=%d", res.GetMemory().GetLimit().GetValue())
	r, err := p.rule("UpdateContainer", pod, c)
	if err != nil {
		return nil, err
	}
	return r.Updates, nil
}
func (p *plugin) PostUpdateContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) error {
	return p.container("PostUpdateContainer", pod, c)
}
func (p *plugin) StopContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) ([]*api.ContainerUpdate, error) {
	r, err := p.rule("StopContainer", pod, c)
	if err != nil {
		return nil, err
	}
	return r.Updates, nil
}
func (p *plugin) RemoveContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) error {
	return p.container("RemoveContainer", pod, c)
}

func (p *plugin) ValidateContainerAdjustment(_ context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	owners, _ := json.Marshal(req.GetOwners())
	os.WriteFile(p.log+".owners", owners, 0o600)
	r, err := p.rule("ValidateContainerAdjustment", req.GetPod(), req.GetContainer())
	if err == nil && r.Reject != "" {
		err = errors.New(r.Reject)
	}
	return err
}

// A file <rules>.unsolicited asks for updates at any time.
func (p *plugin) watch(s stub.Stub) {
	for ; ; time.Sleep(20 * time.Millisecond) {
		path := p.rules + ".unsolicited"
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		os.Remove(path)
		var updates []*api.ContainerUpdate
		if err := json.Unmarshal(text, &updates); err != nil {
			p.line("bad updates: %v", err)
			continue
		}
		failed, err := s.UpdateContainers(updates)
		p.line("unsolicited failed=%d err=%v", len(failed), err)
	}
}

func main() {
	p := &plugin{log: "/dev/null"}
	name := flag.String("name", "", "")
	idx := flag.String("idx", "", "")
	socket := flag.String("socket", "", "")
	flag.StringVar(&p.rules, "rules", "", "")
	flag.StringVar(&p.log, "log", "/dev/null", "")
	flag.Parse()
	opts := []stub.Option{stub.WithOnClose(func() { p.line("closed"); os.Exit(0) })}
	for _, o := range []struct {
		value string
		with  func(string) stub.Option
	}{{*name, stub.WithPluginName}, {*idx, stub.WithPluginIdx}, {*socket, stub.WithSocketPath}} {
		if o.value != "" {
			opts = append(opts, o.with(o.value))
		}
	}
	s, err := stub.New(p, opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go p.watch(s)
	if err := s.Run(context.Background()); err != nil {
		p.line("ended: %v", err)
		os.Exit(1)
	}
}
