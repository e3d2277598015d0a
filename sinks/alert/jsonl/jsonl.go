// Package jsonl appends findings to a file, one JSON message per line, for log shippers and for machines without a
// network receiver.
package jsonl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/alert"
)

// Config is the section of one file sink.
type Config struct {
	Path string `yaml:"path" json:"path" jsonschema_description:"File that findings are appended to; its directory must exist; required."`
}

// Validate reports a missing path.
func (c Config) Validate() error {
	if c.Path == "" {
		return errors.New("path: must name a file")
	}
	return nil
}

// Notifier appends to a file. A line is on disk when Notify returns nil: appends that arrive while another one is
// being written share its fsync. Every error is transient, a full disk included. It is safe for concurrent use by
// goroutines; two processes must not share a file.
type Notifier struct {
	name string
	path string

	mu     sync.Mutex
	open   *handle
	size   int64 // end of the last whole line
	torn   bool  // a write failed and may have left a part of a line
	group  *flush
	reopen bool
}

// handle is an open file that is closed when it was replaced and no flush needs it any more.
type handle struct {
	*os.File
	users   int
	retired bool
}

// flush is the fsync that all lines written before it share.
type flush struct {
	once sync.Once
	err  error
	file *handle
}

// New opens the file, creates it with mode 0600 if it is missing, and returns a notifier under a name.
func New(name string, cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure file sink %s: %w", name, err)
	}
	n := &Notifier{name: name, path: filepath.Clean(cfg.Path)}
	if err := n.openFile(); err != nil {
		return nil, err
	}
	return n, nil
}

// Name implements alert.Notifier.
func (n *Notifier) Name() string { return n.name }

// Reopen makes the next append open the path anew; call it on SIGHUP. A rename or removal of the file is noticed
// without it.
func (n *Notifier) Reopen() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reopen = true
}

// Close closes the file. Deliveries that are under way end first.
func (n *Notifier) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		return nil
	}
	return n.retire()
}

// Notify implements alert.Notifier.
func (n *Notifier) Notify(ctx context.Context, f *event.Finding) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := alert.NewMessage(f).Encode()
	if err != nil {
		return alert.Permanent(err)
	}
	group, err := n.write(append(line, '\n'))
	if err != nil {
		return fmt.Errorf("append finding to %s: %w", n.path, err)
	}
	if err := n.sync(group); err != nil {
		return fmt.Errorf("sync %s: %w", n.path, err)
	}
	return nil
}

// write appends one line and returns the flush that will cover it.
func (n *Notifier) write(line []byte) (*flush, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.ready(); err != nil {
		return nil, err
	}
	written, err := n.open.Write(line)
	if err != nil {
		n.torn = written > 0
		return nil, err
	}
	n.size += int64(len(line))
	if n.group == nil {
		n.group = &flush{file: n.open}
	}
	n.open.users++
	return n.group, nil
}

// sync runs or joins the flush. The first to come closes the group before it syncs, so that a line written later
// starts a new one.
func (n *Notifier) sync(group *flush) error {
	group.once.Do(func() {
		n.mu.Lock()
		if n.group == group {
			n.group = nil
		}
		n.mu.Unlock()
		group.err = group.file.Sync()
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	group.file.users--
	if group.file.retired && group.file.users == 0 {
		_ = group.file.Close() // every line in it was synced
	}
	return group.err
}

// ready opens the path again when it was asked to, or when the name no longer leads to the open file, and cuts off
// a line that an earlier write left torn.
func (n *Notifier) ready() error {
	if n.open != nil && (n.reopen || n.moved()) {
		if err := n.retire(); err != nil {
			return err
		}
	}
	if n.open == nil {
		return n.openFile()
	}
	if n.torn {
		if err := n.open.Truncate(n.size); err != nil {
			return fmt.Errorf("cut torn line: %w", err)
		}
		n.torn = false
	}
	return nil
}

// moved reports whether a log rotation took the file away.
func (n *Notifier) moved() bool {
	byName, err := os.Stat(n.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	byHandle, err := n.open.Stat()
	return err == nil && !os.SameFile(byName, byHandle)
}

// retire gives the open file up; the last flush that needs it closes it.
func (n *Notifier) retire() error {
	file := n.open
	n.open, n.group, file.retired = nil, nil, true
	if file.users > 0 {
		return nil
	}
	return file.Close()
}

// openFile opens for appending and ends a line that a crash left torn.
func (n *Notifier) openFile() error {
	file, err := os.OpenFile(n.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open file sink: %w", err)
	}
	size, err := wholeLines(file)
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("open file sink: %w", err)
	}
	n.open, n.size, n.torn, n.reopen = &handle{File: file}, size, false, false
	return nil
}

// wholeLines returns the file's size after it has made sure that the file ends with a line break.
func wholeLines(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	if !info.Mode().IsRegular() || size == 0 {
		return size, nil
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	if _, err := file.Write([]byte("\n")); err != nil {
		return 0, err
	}
	return size + 1, nil
}
