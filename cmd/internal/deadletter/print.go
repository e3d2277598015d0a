package deadletter

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Bytes says in which form the original bytes are printed; the zero value prints none, for they may hold prompts.
type Bytes struct{ Raw, Hex bool }

// Print writes what is known of the letter, or only its value when that is asked for raw.
func (l Letter) Print(w io.Writer, as Bytes) error {
	if as.Raw {
		if _, err := w.Write(l.Value); err != nil {
			return fmt.Errorf("print dead letter: %w", err)
		}
		return nil
	}
	state := "open"
	if !l.Open {
		state = "resolved"
	}
	fmt.Fprintf(w, "position   %s/%d/%d\ntaken      %s\nstate      %s\nattempts   %d\nstage      %s\nreason     %s\ndetail     %s\nkey        %d bytes\nvalue      %d bytes\n",
		l.Position.Topic, l.Position.Partition, l.Position.Offset, l.IngestedAt.UTC().Format(time.RFC3339Nano), state, l.Attempts,
		l.Stage, l.Reason, plain(l.Detail), len(l.Key), len(l.Value))
	names := make([]string, 0, len(l.Headers))
	for name := range l.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "header     %s: %s\n", plain(name), plain(l.Headers[name]))
	}
	if as.Hex {
		fmt.Fprintf(w, "\nkey\n%s\nvalue\n%s", hex.Dump(l.Key), hex.Dump(l.Value))
	}
	return nil
}

// plain keeps a terminal from obeying what a record says.
func plain(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}
