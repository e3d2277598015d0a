//go:build noengine

package chdb

import "errors"

// load refuses: opening a shared library needs the system's dynamic loader, and a binary built with the tag noengine
// is static.
func load(string) (bind func(name string, function any) error, err error) {
	return nil, errors.New("this binary was built without the embedded engine; name a server in clickhouse.addr")
}
