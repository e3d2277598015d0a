package tapserver

import (
	"context"
	"fmt"
	"time"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/spool"
)

// openSpool opens the spool when a folder is named and some envelope may go there. A durability that needs one and has
// none is an error. With an encryption key, which mode full needs, all that lies there is encrypted.
func openSpool(set Settings) (*spool.Log, error) {
	wanted := false
	for _, word := range set.Tap.Durabilities() {
		how, err := publish.ParseDurability(word)
		if err != nil {
			return nil, fmt.Errorf("tap.durability: %w", err)
		}
		if how.Spooled() && set.Spool.Dir == "" {
			return nil, fmt.Errorf("tap.durability: %s needs spool.dir; name a folder, or use memory", how)
		}
		wanted = wanted || how != publish.Memory
	}
	if set.Spool.Dir == "" || !wanted {
		return nil, nil
	}
	key, err := set.Tap.SpoolKey() // also when no route is full any more: what lies there may be of then
	if err != nil {
		return nil, err
	}
	return spool.Open(set.Spool, spool.Settings{Logger: set.Logger, Registerer: set.Registerer, Key: key})
}

func (s *Server) closeSpool() error {
	if s.spool == nil {
		return nil
	}
	return s.spool.Close()
}

// CheckSpool is a readiness check: it fails while the disk refuses the spool. A full spool is not broken.
func (s *Server) CheckSpool(context.Context) error {
	if s.spool == nil {
		return nil
	}
	if err := s.spool.Broken(); err != nil {
		return fmt.Errorf("spool.dir %s: %w", s.set.Spool.Dir, err)
	}
	return nil
}

// Waiting tells a ledger what waits in a spool, which may be nil.
func Waiting(log *spool.Log) func() (records uint64, oldest time.Time) {
	if log == nil {
		return nil
	}
	return func() (uint64, time.Time) {
		first, last := log.Pending()
		if last < first {
			return 0, time.Time{}
		}
		return last - first + 1, time.Now().Add(-log.OldestAge())
	}
}
