// Package rig is everything around the roles under test: processes that are killed and started again, the broker, the
// engine, the proxies between them, and the schedule of faults.
package rig
