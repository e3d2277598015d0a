//go:build !noengine

package chdb

import "github.com/ebitengine/purego"

// load opens the library and returns what binds one of its functions to a Go function variable.
func load(path string) (bind func(name string, function any) error, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	return func(name string, function any) error {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return err
		}
		purego.RegisterFunc(function, symbol)
		return nil
	}, nil
}
