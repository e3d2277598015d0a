package layout

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/modeltrail/modeltrail/schemas/directory"
)

var root = filepath.Join("..", "..", "..")

// compose loads docker-compose.yml with the loader that Docker Compose uses. The secret files need not exist.
func compose(t *testing.T) *types.Project {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// roles are the services that run this repository's program, without those that end by themselves.
func roles(p *types.Project) []types.ServiceConfig {
	var out []types.ServiceConfig
	for _, name := range p.ServiceNames() {
		if s := p.Services[name]; s.Build != nil && s.Restart != "no" {
			out = append(out, s)
		}
	}
	return out
}

func TestCompose_EveryServiceThatStays_HasAHealthCheckAndARestartPolicy(t *testing.T) {
	p := compose(t)
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		if s.Restart == "no" { // a job
			continue
		}
		if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) < 2 {
			t.Errorf("%s has no health check", name)
		}
		if s.Restart != "unless-stopped" {
			t.Errorf("%s: restart is %q", name, s.Restart)
		}
	}
	for _, want := range []string{"kafka", "clickhouse", "grafana", "migrate", "tap", "store", "enrich", "detect", "alert"} {
		if !slices.Contains(p.ServiceNames(), want) {
			t.Errorf("service %s is missing", want)
		}
	}
}

func TestCompose_RolesRunWithoutPrivileges(t *testing.T) {
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	found := roles(compose(t))
	if len(found) < 5 {
		t.Fatalf("only %d roles", len(found))
	}
	for _, s := range found {
		_, stage, ok := strings.Cut(string(dockerfile), " AS "+s.Build.Target+"\n")
		if !ok {
			t.Errorf("%s: the Dockerfile has no target %q", s.Name, s.Build.Target)
			continue
		}
		stage, _, _ = strings.Cut(stage, "\nFROM ")
		user := regexp.MustCompile(`(?m)^USER ([1-9]\d*):([1-9]\d*)$`)
		if !user.MatchString(stage) || (s.User != "" && s.User != "65532:65532") {
			t.Errorf("%s runs as root", s.Name)
		}
		if !s.ReadOnly || s.Privileged || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read_only %v, privileged %v, cap_drop %v, security_opt %v", s.Name, s.ReadOnly, s.Privileged, s.CapDrop, s.SecurityOpt)
		}
	}
}

func TestCompose_NoSecretStandsInClear(t *testing.T) {
	p := compose(t)
	secretName := regexp.MustCompile(`(?i)(password|secret|token|_key)$`)
	for _, name := range p.ServiceNames() {
		for key, value := range p.Services[name].Environment {
			if value != nil && secretName.MatchString(key) && !strings.HasPrefix(*value, "$__file{/run/secrets/") {
				t.Errorf("%s: %s stands in clear", name, key)
			}
		}
		for _, s := range p.Services[name].Secrets {
			if _, defined := p.Secrets[s.Source]; !defined {
				t.Errorf("%s: secret %s is not defined", name, s.Source)
			}
		}
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Secrets {
		relative, err := filepath.Rel(p.WorkingDir, s.File)
		if err != nil || filepath.Dir(relative) != "secrets" || !strings.Contains(string(ignored), "\n/secrets/\n") {
			t.Errorf("secret %s comes from %s, which is not an ignored folder", name, s.File)
		}
	}
}

func TestCompose_PortsAreOpenToThisHostOnly(t *testing.T) {
	p := compose(t)
	for _, name := range p.ServiceNames() {
		for _, port := range p.Services[name].Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open on %q", name, port.Published, port.HostIP)
			}
		}
	}
}

func TestCompose_WhatIsMountedExists(t *testing.T) {
	p := compose(t)
	for _, name := range p.ServiceNames() {
		for _, v := range p.Services[name].Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s mounts %s, read only %v: %v", name, v.Source, v.ReadOnly, err)
				}
			case types.VolumeTypeVolume:
				if _, defined := p.Volumes[v.Source]; v.Source != "" && !defined {
					t.Errorf("%s mounts the volume %s, which is not defined", name, v.Source)
				}
			}
		}
	}
}

func TestCompose_GrafanaHasEveryVariableThatItsProvisioningReads(t *testing.T) {
	environment := compose(t).Services["grafana"].Environment
	files, err := filepath.Glob(filepath.Join(root, "dashboards", "provisioning", "*", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d provisioning files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(string(text), -1) {
			if value := environment[match[1]]; value == nil || *value == "" {
				t.Errorf("%s reads %s, which the service does not set", filepath.Base(file), match[1])
			}
		}
	}
	boards, err := filepath.Glob(filepath.Join(root, "dashboards", "boards", "*.json"))
	if err != nil || len(boards) == 0 {
		t.Errorf("no boards, %v", err)
	}
}

func TestCompose_CommandsAreCommandsOfTheProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	binary := filepath.Join(t.TempDir(), "modeltrail")
	build := exec.Command("go", "build", "-o", binary, "./cmd/modeltrail")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := compose(t)
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		if s.Build == nil {
			continue
		}
		commands := [][]string{s.Command}
		if s.HealthCheck != nil && !s.HealthCheck.Disable {
			if s.HealthCheck.Test[1] != "/modeltrail" {
				t.Errorf("%s: health check runs %s, which the image does not have", name, s.HealthCheck.Test[1])
			}
			commands = append(commands, s.HealthCheck.Test[2:])
		}
		for _, command := range commands {
			if out, err := exec.Command(binary, append(command, "--help")...).CombinedOutput(); err != nil || !strings.Contains(string(out), "modeltrail "+command[0]) {
				t.Errorf("%s: %v: %v\n%s", name, command, err, out)
			}
		}
	}
}

func TestCompose_ExampleDirectoryParses(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "examples", "directory.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Teams()) < 2 {
		t.Errorf("%d teams", len(d.Teams()))
	}
}
