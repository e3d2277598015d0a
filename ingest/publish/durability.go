package publish

import "fmt"

// Durability says what an envelope waits in until the brokers have it.
type Durability uint8

// The durabilities. Default is Spill with a spool and Memory without one.
const (
	Default Durability = iota
	Memory
	Spill
	SpoolFirst
	durabilities // how many there are
)

// ParseDurability reads the configuration's word; "" is Default.
func ParseDurability(text string) (Durability, error) {
	switch text {
	case "":
		return Default, nil
	case "memory":
		return Memory, nil
	case "spill":
		return Spill, nil
	case "spool-first":
		return SpoolFirst, nil
	}
	return Default, fmt.Errorf("%q is not memory, spill or spool-first", text)
}

// String returns the configuration's word.
func (d Durability) String() string {
	return [...]string{"default", "memory", "spill", "spool-first"}[min(d, SpoolFirst)]
}

// Spooled reports that envelopes of this durability may lie on disk.
func (d Durability) Spooled() bool { return d == Spill || d == SpoolFirst }
