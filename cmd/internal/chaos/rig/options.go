package rig

import (
	"errors"
	"fmt"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// Options describe one run of the conservation test.
type Options struct {
	Workload       workload.Config
	Broker         string        // Kfake or ApacheKafka
	Duration       time.Duration // of the faults
	Kills          int           // at random moments, of all components together
	FailpointKills int           // at each of W0 to W4
	Failpoints     []string      // which failpoints; empty is all
	Stores         int           // processes of the role store
	Partitions     int
	BatchRows      int
	Flush          time.Duration
	Session        time.Duration // of the consumer groups
	Components     []string      // killed at random; empty is all
	Faults         []string      // beside kills; empty is all, "none" is none
	Fault          string        // MODELTRAIL_FAULT of the stores: a negative control
	Copier         bool          // the plain copier in place of the store
	Taps           int           // calls go through so many taps; 0: the producer publishes envelopes itself
	StoreOnly      bool          // neither enrich nor detect
	NoRepeats      bool          // the store does not recognise repeats of a source sequence
	Settle         time.Duration // patience after the last fault
	Dir            string        // empty: a temporary one
	Keep           bool          // leave Dir behind
	Program        string        // modeltrail built with -tags chaos; empty: it is built
	RoleLog        string        // level of the roles' logs
	Log            string        // level of the controller's own log
}

// Failpoints are the windows of the store in which it can be told to kill itself.
func Failpoints() []string { return []string{"W0", "W1", "W2", "W3", "W4"} }

// Components are what is killed at random moments.
func Components() []string { return []string{"store", "enrich", "detect", "engine", "broker", "tap"} }

// FaultNames are the faults beside kills.
func FaultNames() []string {
	return []string{"pause", "network-database", "network-broker", "storm", "leaders", "coordinators", "full-disk"}
}

// brutal is a fault that is applied only when it is named.
const brutal = "full-disk-brutal"

// DefaultOptions returns a run of a few minutes.
func DefaultOptions() Options {
	return Options{
		Workload: workload.Config{Seed: 1, Calls: 20_000, PoisonShare: 0.002, RepeatShare: 0.005, MarkedShare: 0.001, Sources: 4, ReplyBytes: 300},
		Broker:   Kfake, Duration: 2 * time.Minute, Kills: 40, FailpointKills: 5, Stores: 3, Partitions: 4, BatchRows: 500,
		Flush: 150 * time.Millisecond, Session: 2 * time.Second, Settle: 3 * time.Minute, RoleLog: "info", Log: "warn",
	}
}

// Validate reports what cannot work.
func (o Options) Validate() error {
	var errs []error
	if o.Broker != Kfake && o.Broker != ApacheKafka {
		errs = append(errs, fmt.Errorf("-broker: %q is neither %s nor %s", o.Broker, Kfake, ApacheKafka))
	}
	if o.Workload.Calls < 1 || o.Workload.Calls > 900_000_000 {
		errs = append(errs, errors.New("-calls: must be 1 or more"))
	}
	if o.Duration <= 0 {
		errs = append(errs, errors.New("-duration: must be positive, for example 40m"))
	}
	if o.Stores < 1 {
		errs = append(errs, errors.New("-stores: must be 1 or more"))
	}
	for _, list := range []struct {
		flag         string
		given, known []string
	}{{"-failpoints", o.Failpoints, Failpoints()}, {"-components", o.Components, Components()}, {"-faults", o.Faults, append(FaultNames(), brutal, "none")}} {
		for _, name := range list.given {
			if !contains(list.known, name) {
				errs = append(errs, fmt.Errorf("%s: %q is none of %v", list.flag, name, list.known))
			}
		}
	}
	return errors.Join(errs...)
}

func contains(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}
