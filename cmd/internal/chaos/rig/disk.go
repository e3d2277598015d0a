package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// disk is a file system in memory that can be filled up.
type disk struct {
	dir     string
	size    int64
	ballast string
}

// mountDisk mounts a tmpfs of a size at dir.
func mountDisk(dir string, bytes int64) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		return nil, fmt.Errorf("mount tmpfs, run as root or under `unshare -rm`: %w", err)
	}
	return &disk{dir, bytes, filepath.Join(dir, "ballast")}, nil
}

// used is how many bytes the file system holds.
func (d *disk) used() (used, free int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, int64(st.Bfree) * st.Bsize, nil //nolint:gosec // sizes of a small disk
}

// shrink leaves so many bytes free: whoever writes fills the rest.
func (d *disk) shrink(left int64) error {
	used, _, err := d.used()
	if err != nil {
		return err
	}
	return d.resize(used + left)
}

func (d *disk) resize(bytes int64) error {
	return syscall.Mount("tmpfs", d.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d,mode=0700", bytes))
}

// fill takes all space that is left, also what others count on.
func (d *disk) fill() error {
	file, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 4<<20)
	for {
		n, err := file.Write(block)
		if errors.Is(err, syscall.ENOSPC) {
			if len(block) > 4096 {
				block = block[:len(block)/2]
				continue
			}
			return nil
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// free gives the space back.
func (d *disk) free() error { return errors.Join(os.RemoveAll(d.ballast), d.resize(d.size)) }

// unmount takes the file system away with all that is in it.
func (d *disk) unmount() error { return syscall.Unmount(d.dir, syscall.MNT_DETACH) }
