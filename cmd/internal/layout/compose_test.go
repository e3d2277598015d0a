package layout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/modeltrail/modeltrail/schemas/ddl"
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
	for _, want := range []string{"kafka", "clickhouse", "grafana", "migrate", "tap", "receive", "store", "enrich", "detect", "alert"} {
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

var runSecret = regexp.MustCompile(`/run/secrets/(\w+)`)

// config is the text of the configuration that a service mounts.
func configOf(t *testing.T, s types.ServiceConfig) string {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Target == "/etc/modeltrail/config.yaml" {
			text, err := os.ReadFile(v.Source)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	t.Fatalf("%s mounts no configuration", s.Name)
	return ""
}

func TestCompose_EveryRoleHasItsOwnConfigurationAndOnlyTheSecretsInIt(t *testing.T) {
	p := compose(t)
	owners := map[string][]string{}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		var mounted, named []string
		for _, secret := range s.Secrets {
			mounted = append(mounted, secret.Source)
			owners[secret.Source] = append(owners[secret.Source], name)
		}
		if s.Build == nil {
			continue
		}
		for _, match := range runSecret.FindAllStringSubmatch(configOf(t, s), -1) {
			named = append(named, match[1])
		}
		slices.Sort(mounted)
		slices.Sort(named)
		if !slices.Equal(mounted, named) {
			t.Errorf("%s mounts the secrets %v; its configuration names %v", name, mounted, named)
		}
	}
	for secret, services := range owners {
		if others := slices.DeleteFunc(slices.Clone(services), func(s string) bool { return s == "clickhouse" }); len(others) != 1 {
			t.Errorf("%s is shared by %v", secret, others)
		}
	}
}

// TestCompose_UsersOfClickHouse runs the script that creates them, with a client that keeps what it is told.
func TestCompose_UsersOfClickHouse_HaveARoleEachAndNoPasswordInSight(t *testing.T) {
	p := compose(t)
	dir := t.TempDir()
	client := "#!/bin/sh\necho \"$CLICKHOUSE_USER $CLICKHOUSE_PASSWORD\" > " + dir + "/login\necho \"$*\" > " + dir + "/args\ncat > " + dir + "/sql\n"
	files := map[string]string{"clickhouse-client": client}
	for name := range p.Secrets {
		files[name] = "password-of-" + name + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command(filepath.Join(root, "docs", "examples", "compose", "clickhouse-users.sh"))
	run.Env = append(os.Environ(), "SECRETS="+dir, "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	sql := read("sql")
	if read("login") != "modeltrail password-of-clickhouse_password\n" || strings.Contains(read("args")+sql, "password-of-") {
		t.Errorf("login %q, arguments %q, statements %s", read("login"), read("args"), sql)
	}
	grants, err := ddl.Grants(ddl.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for user, role := range map[string]string{"modeltrail_store": "modeltrail_writer", "modeltrail_detect": "modeltrail_soc", "modeltrail_grafana": "modeltrail_dashboards"} {
		sum := sha256.Sum256([]byte("password-of-clickhouse_" + strings.TrimPrefix(user, "modeltrail_") + "_password"))
		for _, want := range []string{"CREATE USER IF NOT EXISTS " + user + " IDENTIFIED WITH sha256_hash BY '" + hex.EncodeToString(sum[:]) + "'", "GRANT " + role + " TO " + user + ";"} {
			if !strings.Contains(sql, want) {
				t.Errorf("no statement %q in\n%s", want, sql)
			}
		}
		if !strings.Contains(grants, "CREATE ROLE IF NOT EXISTS "+role) {
			t.Errorf("the schema knows no role %s", role)
		}
	}
	if user := p.Services["grafana"].Environment["MODELTRAIL_CLICKHOUSE_USER"]; user == nil || *user != "modeltrail_grafana" {
		t.Error("Grafana has no user of its own")
	}
	for service, user := range map[string]string{"store": "modeltrail_store", "detect": "modeltrail_detect", "migrate": "modeltrail"} {
		if text := configOf(t, p.Services[service]); !strings.Contains(text, "user: "+user+"\n") {
			t.Errorf("%s is not the user %s", service, user)
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
