// Command gen compiles the protobuf schemas to Go without protoc: protocompile parses them, then the
// two generators named as tools in go.mod (protoc-gen-go, protoc-gen-go-vtproto) get the request that
// protoc would send. Run it through `make generate`.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// generator is one protoc plug-in and its parameter.
type generator struct{ tool, parameter string }

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gen PROTO_DIR MODULE_DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(protoDir, moduleDir string) error {
	const module = "module=github.com/modeltrail/modeltrail"
	request, err := compile(protoDir)
	if err != nil {
		return err
	}
	for _, g := range []generator{
		{"protoc-gen-go", module},
		{"protoc-gen-go-vtproto", module + ",features=marshal+unmarshal+unmarshal_unsafe+size"},
	} {
		if err := generate(g, request, moduleDir); err != nil {
			return err
		}
	}
	return nil
}

// compile parses every .proto below dir into the request that protoc would hand to a plug-in.
func compile(dir string) (*pluginpb.CodeGeneratorRequest, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "modeltrail", "v1", "*.proto"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	var names []string
	for _, p := range paths {
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return nil, err
		}
		names = append(names, filepath.ToSlash(name))
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return nil, err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	var add func(*descriptorpb.FileDescriptorProto)
	add = func(fd *descriptorpb.FileDescriptorProto) {
		if seen[fd.GetName()] {
			return
		}
		for _, dependency := range fd.GetDependency() {
			if f := files.FindFileByPath(dependency); f != nil {
				add(protodesc.ToFileDescriptorProto(f))
			}
		}
		seen[fd.GetName()] = true
		request.ProtoFile = append(request.ProtoFile, fd)
	}
	for _, f := range files {
		add(protodesc.ToFileDescriptorProto(f))
	}
	return request, nil
}

func generate(g generator, request *pluginpb.CodeGeneratorRequest, moduleDir string) error {
	request.Parameter = proto.String(g.parameter)
	in, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "tool", g.tool)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", g.tool, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return fmt.Errorf("%s: %w", g.tool, err)
	}
	if response.Error != nil {
		return fmt.Errorf("%s: %s", g.tool, response.GetError())
	}
	for _, f := range response.File {
		path := filepath.Join(moduleDir, filepath.FromSlash(f.GetName()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
